"""Sweeps at a W&B server: created, joined, read and ended by the operations that W&B's own client sends.

W&B's `wandb.agent` runs a function in a thread of its own and tears its service down between trials, and with it
every other run of the process; so agents speak to the server here, in `sweep_agents.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from recsys_pipeline.adapters.wandb.names import app_url
from recsys_pipeline.adapters.wandb.server import WandbServer
from recsys_pipeline.core.errors import SettingError

CREATE = (
    "mutation UpsertSweep($config: String, $entityName: String, $projectName: String) { upsertSweep(input: {config: "
    "$config, entityName: $entityName, projectName: $projectName}) { sweep { id name } configValidationWarnings } }"
)
END = (
    "mutation UpsertSweep($id: ID, $state: String, $entityName: String, $projectName: String) { upsertSweep(input: "
    "{id: $id, state: $state, entityName: $entityName, projectName: $projectName}) { sweep { name } } }"
)
READ = (
    "query SweepDefinition($entity: String, $project: String, $sweep: String!) { project(name: $project, entityName: "
    "$entity) { sweep(sweepName: $sweep) { id name state config } } }"
)
RUNS = (
    "query SweepRuns($entity: String, $project: String, $sweep: String!, $after: String) { project(name: $project, "
    "entityName: $entity) { sweep(sweepName: $sweep) { runs(first: 100, after: $after) { edges { node { name state "
    "config summaryMetrics } } pageInfo { endCursor hasNextPage } } } } }"
)
AGENT = (
    "mutation CreateAgent($host: String!, $projectName: String, $entityName: String, $sweep: String!) { createAgent("
    "input: {host: $host, projectName: $projectName, entityName: $entityName, sweep: $sweep}) { agent { id } } }"
)
HEARTBEAT = (
    "mutation Heartbeat($id: ID!, $metrics: JSONString, $runState: JSONString) { agentHeartbeat(input: {id: $id, "
    "metrics: $metrics, runState: $runState}) { agent { id } commands } }"
)


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep as the server has it; `params` as the server handed them out, groups and all."""

    run_id: str
    state: str
    params: Mapping[str, Any]
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class WandbSweep:
    """One sweep at a server."""

    server: WandbServer
    entity: str
    project: str
    name: str
    """The short id that people type."""
    node: str
    """The id by which the server changes it."""
    state: str
    definition: Mapping[str, Any]

    @classmethod
    def create(cls, server: WandbServer, project: str, definition: Mapping[str, Any]) -> "WandbSweep":
        """A new sweep; raises `SettingError` with the server's reason where it refuses the definition."""
        entity = server.account()
        config = yaml.safe_dump(dict(definition), sort_keys=False)
        answer = server.ask(CREATE, {"config": config, "entityName": entity, "projectName": project})
        made = (answer.get("upsertSweep") or {}).get("sweep")
        if not made:
            raise SettingError(f"{server.url} refused sweep {definition.get('name')!r}: look at its YAML")
        return cls(server, entity, project, made["name"], made["id"], "RUNNING", definition)

    @classmethod
    def join(cls, server: WandbServer, project: str, path: str) -> "WandbSweep":
        """The sweep `name`, `project/name` or `entity/project/name`; raises `SettingError` where there is none."""
        *scope, name = path.split("/")
        if len(scope) > 2 or not name:
            raise SettingError(f"{path!r} is no sweep: write its id, project/id or entity/project/id")
        project = scope[-1] if scope else project
        entity = scope[0] if len(scope) == 2 else server.account()
        answer = server.ask(READ, {"entity": entity, "project": project, "sweep": name})
        found = (answer.get("project") or {}).get("sweep")
        if not found:
            raise SettingError(
                f"{server.url} has no sweep {entity}/{project}/{name}: the last part of its page's address"
            )
        return cls(server, entity, project, name, found["id"], found["state"], yaml.safe_load(found["config"]))

    @property
    def path(self) -> str:
        """`entity/project/name`."""
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    def url(self) -> str:
        """Its page."""
        return f"{app_url(self.server.url)}/{self.entity}/{self.project}/sweeps/{self.name}"

    @property
    def is_over(self) -> bool:
        """Whether the server hands out no more trials, as far as was known when the sweep was read."""
        return self.state.upper() in ("FINISHED", "CANCELED", "CANCELLED")

    def register(self, host: str) -> str:
        """A new agent's id."""
        scope = {"entityName": self.entity, "projectName": self.project}
        answer = self.server.ask(AGENT, {"host": host, "sweep": self.name, **scope})
        return answer["createAgent"]["agent"]["id"]

    def beat(self, agent: str, running: str = "") -> list[dict[str, Any]]:
        """Say that an agent lives, and which run it trains; the server's commands: `run`, `stop`, `exit`."""
        states = json.dumps({running: True} if running else {})
        answer = self.server.ask(HEARTBEAT, {"id": agent, "metrics": "{}", "runState": states})
        return json.loads(answer["agentHeartbeat"]["commands"])

    def runs(self) -> list[SweepRun]:
        """Every run that was handed out, oldest first."""
        found: list[SweepRun] = []
        scope, after = {"entity": self.entity, "project": self.project, "sweep": self.name}, None
        while True:
            page = self.server.ask(RUNS, {**scope, "after": after})["project"]["sweep"]["runs"]
            found += [_run(edge["node"]) for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    def finish(self) -> None:
        """Hand out no more trials, to any agent."""
        scope = {"entityName": self.entity, "projectName": self.project}
        self.server.ask(END, {"id": self.node, "state": "FINISHED", **scope})


def _run(node: Mapping[str, Any]) -> SweepRun:
    config = json.loads(node["config"] or "{}")
    params = {key: entry["value"] for key, entry in config.items() if isinstance(entry, Mapping) and "value" in entry}
    return SweepRun(node["name"], node["state"], params, json.loads(node["summaryMetrics"] or "{}"))
