"""What a test reads off the double: plain records of runs, artifacts, edges, sweeps and requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from recsys_pipeline_tests.wandb_double.files import Files
from recsys_pipeline_tests.wandb_double.records import Records


@dataclass(frozen=True)
class RunRecord:
    """A run; `config` without the client's own entry, `summary` as last sent, `alerts` as (title, text)."""

    project: str
    name: str
    display_name: str | None
    state: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    tags: tuple[str, ...]
    group: str | None
    job_type: str | None
    sweep: str | None
    exit_code: int | None
    files: tuple[str, ...]
    alerts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ArtifactRecord:
    """A committed version; `files` maps each path to its MD5 (base64), a reference to its address."""

    project: str
    type: str
    name: str
    version: int
    digest: str
    aliases: frozenset[str]
    metadata: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True, order=True)
class Edge:
    """That a run made ("output") or used ("input") a version; `run` is the run's id, `artifact` is `name:v0`."""

    run: str
    direction: str
    artifact: str


@dataclass(frozen=True)
class SweepRecord:
    """A sweep: its config, the ids of its runs, and how often its agents called."""

    name: str
    state: str
    config: Mapping[str, Any]
    runs: tuple[str, ...]
    agents: int
    heartbeats: int


@dataclass(frozen=True)
class Request:
    """One request, in the order of arrival; `status` is 0 where the connection was dropped, None while it lasts."""

    operation: str
    writes: bool
    status: int | None
    error: str | None = field(repr=False)
    detail: Any = field(repr=False)


def run_records(records: Records) -> list[RunRecord]:
    """Every run, oldest first."""
    return [_run(records, row) for row in records.all("select * from runs order by id")]


def _run(records: Records, row: Mapping[str, Any]) -> RunRecord:
    config = {key: entry["value"] for key, entry in json.loads(row["config"]).items() if key != "_wandb"}
    files = records.all("select name from run_files where run = ? and blob is not null order by name", row["id"])
    alerts = records.all("select title, text from alerts where run = ? order by rowid", row["id"])
    return RunRecord(
        project=row["project"], name=row["name"], display_name=row["display_name"], state=row["state"], config=config,
        summary=json.loads(row["summary"]), tags=tuple(json.loads(row["tags"])), group=row["group_name"],
        job_type=row["job_type"], sweep=row["sweep"], exit_code=row["exit_code"],
        files=tuple(file["name"] for file in files), alerts=tuple((told["title"], told["text"]) for told in alerts),
    )  # fmt: skip


def artifact_records(records: Records, files: Files) -> list[ArtifactRecord]:
    """Every committed version, in the order in which they were begun."""
    query = (
        "select v.*, c.project, c.type, c.name from artifacts v join collections c on c.id = v.collection "
        "where v.state = 'COMMITTED' order by v.id"
    )
    return [_artifact(records, files, row) for row in records.all(query)]


def _artifact(records: Records, files: Files, row: Mapping[str, Any]) -> ArtifactRecord:
    aliases = records.all("select alias from aliases where artifact = ?", row["id"])
    contents = json.loads(files.content(row["manifest"]))["contents"]
    return ArtifactRecord(
        project=row["project"], type=row["type"], name=row["name"], version=row["version"], digest=row["digest"],
        aliases=frozenset(alias["alias"] for alias in aliases), metadata=json.loads(row["metadata"] or "{}"),
        files={path: entry.get("ref") or entry["digest"] for path, entry in contents.items()},
    )  # fmt: skip


def edge_records(records: Records, project: str | None) -> set[Edge]:
    """Every edge from a run of this project (None: of any) to a committed version."""
    query = (
        "select r.name as run, e.direction, c.name || ':v' || v.version as artifact from edges e "
        "join runs r on r.id = e.run join artifacts v on v.id = e.artifact "
        "join collections c on c.id = v.collection where v.state = 'COMMITTED' and r.project = coalesce(?, r.project)"
    )
    return {Edge(**row) for row in records.all(query, project)}


def sweep_records(records: Records, project: str | None) -> list[SweepRecord]:
    """Every sweep of this project (None: of any), oldest first."""
    query = "select * from sweeps where project = coalesce(?, project) order by id"
    return [_sweep(records, row) for row in records.all(query, project)]


def _sweep(records: Records, row: Mapping[str, Any]) -> SweepRecord:
    runs = records.all("select run from trials where sweep = ? order by number", row["id"])
    agents = records.all("select beats from agents where sweep = ?", row["id"])
    return SweepRecord(
        name=row["name"], state=row["state"], config=yaml.safe_load(row["config"]),
        runs=tuple(run["run"] for run in runs), agents=len(agents), heartbeats=sum(agent["beats"] for agent in agents),
    )  # fmt: skip


def request_records(records: Records, since: int) -> list[Request]:
    """Every request after the first `since` ones."""
    rows = records.all("select * from requests where id > ? order by id", since)
    return [
        Request(row["operation"], bool(row["writes"]), row["status"], row["error"], json.loads(row["detail"]))
        for row in rows
    ]
