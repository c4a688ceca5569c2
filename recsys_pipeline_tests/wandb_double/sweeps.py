"""Sweeps and their agents: an agent's heartbeat is answered with the next run, a stop, or the end."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from recsys_pipeline_tests.wandb_double.graphql import Node, QueryError, connection
from recsys_pipeline_tests.wandb_double.records import Records, now, opaque, row_of
from recsys_pipeline_tests.wandb_double.runs import find_run, history_rows, project_stub, run_node, upsert_run
from recsys_pipeline_tests.wandb_double.stopping import is_beaten
from recsys_pipeline_tests.wandb_double.trials import grid_size, trial

Row = dict[str, Any]
ENDED = {"FINISHED", "CANCELED"}


def find_sweep(records: Records, entity: str, project: str, name: str) -> Row | None:
    """The sweep with this id in this project."""
    return records.one("select * from sweeps where entity = ? and project = ? and name = ?", entity, project, name)


def upsert_sweep(records: Records, entity: str, project: str, given: Mapping[str, Any]) -> Row:
    """Create a sweep, or change the state or the config of the one whose id is given.

    Raises:
        QueryError: the config is no sweep.
    """
    if given.get("id"):
        row = row_of(given["id"])
    else:
        known = records.one("select count(*) as n from sweeps")
        assert known is not None
        row = records.change(
            "insert into sweeps (entity, project, name, config, created) values (?, ?, ?, '', ?)",
            entity, project, f"sweep{known['n'] + 1:03d}", now(),
        )  # fmt: skip
    config = given.get("config")
    if config is not None:
        _check(yaml.safe_load(config))
    records.update(
        "sweeps", row, config=config, state=given.get("state"), display_name=given.get("displayName"),
        description=given.get("description"), controller=given.get("controller"), scheduler=given.get("scheduler"),
    )  # fmt: skip
    (changed,) = records.all("select * from sweeps where id = ?", row)
    return changed


def _check(config: Any) -> None:
    if not isinstance(config, dict) or config.get("method") not in ("grid", "random", "bayes"):
        raise QueryError("a sweep's config needs a method: grid, random or bayes")
    if not isinstance(config.get("parameters"), dict) or not config["parameters"]:
        raise QueryError("a sweep's config needs parameters")
    if config["method"] == "bayes" and "metric" not in config:
        raise QueryError("a bayes sweep's config needs a metric")


def create_agent(records: Records, entity: str, project: str, sweep: str, host: str) -> Row:
    """Register an agent with a sweep.

    Raises:
        QueryError: 404, there is no such sweep.
    """
    found = find_sweep(records, entity, project, sweep)
    if found is None:
        raise QueryError(f"sweep {entity}/{project}/{sweep} not found", 404)
    insert = "insert into agents (sweep, host, created, heartbeat) values (?, ?, ?, ?)"
    return _agent(records, records.change(insert, found["id"], host, now(), now()))


def beat(records: Records, agent: int, alive: Mapping[str, bool]) -> list[Row]:
    """Commands for an agent that says which of its runs are alive.

    Raises:
        QueryError: 404, the agent or its sweep is gone; the client then ends.
    """
    known = _agent(records, agent)
    records.update("agents", agent, beats=known["beats"] + 1, heartbeat=now())
    (sweep,) = records.all("select * from sweeps where id = ?", known["sweep"])
    running = [run for run, lives in alive.items() if lives]
    stopped = [run for run in running if _is_to_stop(records, sweep, run)]
    if stopped:
        return [{"type": "stop", "run_id": run} for run in stopped]
    if sweep["state"] in ENDED:
        return [{"type": "exit"}]
    if running or sweep["state"] != "RUNNING":
        return []
    return _next_run(records, sweep, agent)


def _agent(records: Records, row: int) -> Row:
    found = records.one("select * from agents where id = ?", row)
    if found is None:
        raise QueryError(f"agent {row} not found", 404)
    return found


def _is_to_stop(records: Records, sweep: Row, run: str) -> bool:
    found = find_run(records, sweep["entity"], sweep["project"], run)
    if found is None:
        return False
    if not found["stopped"]:
        config = yaml.safe_load(sweep["config"])
        others = [other for other in sweep_runs(records, sweep) if other["id"] != found["id"]]
        own = _metric(records, found, config)
        if is_beaten(own, [_metric(records, other, config) for other in others], config):
            records.update("runs", found["id"], stopped=1)
            return True
    return bool(found["stopped"])


def _metric(records: Records, run: Row, config: Mapping[str, Any]) -> list[float]:
    name = config.get("metric", {}).get("name")
    return [row[name] for row in history_rows(records, run["id"]) if isinstance(row.get(name), int | float)]


def _next_run(records: Records, sweep: Row, agent: int) -> list[Row]:
    config = yaml.safe_load(sweep["config"])
    handed = records.one("select count(*) as n from trials where sweep = ?", sweep["id"])
    assert handed is not None
    number = handed["n"]
    chosen = trial(config, number, seed=sweep["id"])
    if chosen is None:
        records.update("sweeps", sweep["id"], state="FINISHED")
        return [{"type": "exit"}]
    name = f"{sweep['name']}t{number:03d}"
    arguments = {key: {"value": value} for key, value in chosen.items()}
    records.change("insert into trials values (?, ?, ?, ?, ?)", sweep["id"], number, name, agent, json.dumps(arguments))
    shown = {"name": name, "sweep": sweep["name"], "config": json.dumps(arguments)}
    upsert_run(records, sweep["entity"], sweep["project"], {**shown, "state": "pending"})
    program = {"program": config["program"]} if "program" in config else {}
    return [{"type": "run", "run_id": name, "args": arguments, "logs": [], **program}]


def sweep_runs(records: Records, sweep: Row) -> list[Row]:
    """The runs of a sweep, oldest first."""
    query = "select * from runs where entity = ? and project = ? and sweep = ? order by id"
    return records.all(query, sweep["entity"], sweep["project"], sweep["name"])


def sweep_node(records: Records, sweep: Row) -> Node:
    """A sweep as GraphQL shows it."""
    config = yaml.safe_load(sweep["config"])
    agents = lambda: records.all("select * from agents where sweep = ? order by id", sweep["id"])  # noqa: E731
    return Node(
        "Sweep",
        {
            "id": opaque("Sweep", sweep["id"]), "name": sweep["name"], "displayName": sweep["display_name"],
            "method": config["method"], "state": sweep["state"], "description": sweep["description"],
            "config": sweep["config"], "createdAt": sweep["created"], "updatedAt": sweep["created"],
            "heartbeatAt": sweep["created"], "earlyStopJobRunning": False, "controller": sweep["controller"],
            "controllerRunName": None, "scheduler": sweep["scheduler"],
            "bestLoss": lambda: _best(records, sweep, config),
            "runCount": lambda: len(sweep_runs(records, sweep)), "runCountExpected": grid_size(config),
            "project": project_stub(sweep["entity"], sweep["project"]),
            "runs": lambda **of: connection([run_node(records, run) for run in sweep_runs(records, sweep)], **of),
            "agents": lambda **of: connection([agent_node(records, agent) for agent in agents()], **of),
            "agent": lambda agentName: agent_node(records, _agent(records, row_of(agentName))),
        },
    )  # fmt: skip


def agent_node(records: Records, agent: Row) -> Node:
    """An agent as GraphQL shows it."""
    query = "select r.* from runs r join trials t on t.run = r.name where t.agent = ? order by t.number"
    runs = lambda: [run_node(records, run) for run in records.all(query, agent["id"])]  # noqa: E731
    return Node(
        "Agent",
        {
            "id": opaque("Agent", agent["id"]), "name": opaque("Agent", agent["id"]), "host": agent["host"],
            "state": agent["state"], "createdAt": agent["created"], "heartbeatAt": agent["heartbeat"],
            "totalRuns": lambda: len(runs()), "runs": lambda **of: connection(runs(), **of),
        },
    )  # fmt: skip


def _best(records: Records, sweep: Row, config: Mapping[str, Any]) -> float | None:
    metric = config.get("metric") or {}
    found = [json.loads(run["summary"]).get(metric.get("name")) for run in sweep_runs(records, sweep)]
    figures = [figure for figure in found if isinstance(figure, int | float)]
    best = max if metric.get("goal") == "maximize" else min
    return best(figures, default=None)
