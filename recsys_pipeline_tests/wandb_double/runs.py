"""Runs: created and resumed by UpsertBucket, filled by the file stream, read by `wandb.Api()`."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from recsys_pipeline_tests.wandb_double.graphql import Node, QueryError, connection
from recsys_pipeline_tests.wandb_double.records import Records, now, opaque, parsed, row_of

Row = dict[str, Any]
HISTORY, EVENTS, OUTPUT, SUMMARY = "wandb-history.jsonl", "wandb-events.jsonl", "output.log", "wandb-summary.json"


def find_run(records: Records, entity: str, project: str, name: str) -> Row | None:
    """The run with this id in this project."""
    return records.one("select * from runs where entity = ? and project = ? and name = ?", entity, project, name)


def upsert_run(records: Records, entity: str, project: str, given: Mapping[str, Any]) -> tuple[Row, bool]:
    """Create the run, or change what is given of it; says whether it was created."""
    found = _existing(records, entity, project, given)
    if found is None:
        name = given.get("name") or opaque("name", records.change("select 1"))
        row = records.change(
            "insert into runs (entity, project, name, created, heartbeat) values (?, ?, ?, ?, ?)",
            entity, project, name, now(), now(),
        )  # fmt: skip
    else:
        row = found["id"]
    columns = {
        "display_name": given.get("displayName"), "config": given.get("config"), "group_name": given.get("groupName"),
        "job_type": given.get("jobType"), "notes": given.get("notes"), "description": given.get("description"),
        "sweep": given.get("sweep"), "commit_hash": given.get("commit"), "host": given.get("host"),
        "program": given.get("jobProgram"), "summary": given.get("summaryMetrics"),
        "tags": None if given.get("tags") is None else json.dumps(given["tags"]),
        # A client that names a run starts or resumes it; one that has its id (wandb.Api) only edits it.
        "state": given.get("state") or (None if given.get("id") else "running"),
    }  # fmt: skip
    records.update("runs", row, **columns, heartbeat=now())
    (changed,) = records.all("select * from runs where id = ?", row)
    return changed, found is None


def _existing(records: Records, entity: str, project: str, given: Mapping[str, Any]) -> Row | None:
    if given.get("id"):
        return records.one("select * from runs where id = ?", row_of(given["id"]))
    return find_run(records, entity, project, given.get("name") or "")


def append_stream(records: Records, entity: str, project: str, name: str, body: Mapping[str, Any]) -> None:
    """Take one post of the file stream; a line sent twice (a retry) is kept once, because lines are numbered.

    Raises:
        QueryError: there is no such run.
    """
    run = find_run(records, entity, project, name)
    if run is None:
        raise QueryError(f"run {entity}/{project}/{name} not found", 404)
    for file, chunk in (body.get("files") or {}).items():
        for number, line in enumerate(chunk["content"], start=chunk["offset"]):
            records.change("insert or replace into stream values (?, ?, ?, ?)", run["id"], file, number, line)
        if file == SUMMARY and chunk["content"]:
            records.update("runs", run["id"], summary=chunk["content"][-1])
    if body.get("complete"):
        code = body.get("exitcode", 0)
        records.update("runs", run["id"], state="finished" if code == 0 else "failed", exit_code=code)
    records.update("runs", run["id"], heartbeat=now())


def stream_lines(records: Records, run: int, file: str) -> list[str]:
    """What a run has sent of one of its streamed files, in order."""
    rows = records.all("select content from stream where run = ? and file = ? order by line", run, file)
    return [row["content"] for row in rows]


def history_rows(records: Records, run: int) -> list[Row]:
    """The logged steps of a run."""
    return [json.loads(line) for line in stream_lines(records, run, HISTORY)]


def run_node(records: Records, run: Row) -> Node:
    """A run as GraphQL shows it, without its artifacts, files and sweep, which are added where these are known."""
    row = run["id"]
    steps = lambda: history_rows(records, row)  # noqa: E731 (read when asked for)
    count = lambda file: len(stream_lines(records, row, file))  # noqa: E731 (as above)
    return Node(
        "Run",
        {
            "id": opaque("Run", row), "internalId": opaque("Run", row), "name": run["name"],
            "projectId": str(project_number(run["entity"], run["project"])),
            "displayName": run["display_name"] or run["name"],
            "description": run["description"], "notes": run["notes"], "tags": json.loads(run["tags"]),
            "state": run["state"], "config": run["config"], "summaryMetrics": run["summary"], "systemMetrics": "{}",
            "group": run["group_name"], "jobType": run["job_type"], "sweepName": run["sweep"],
            "commit": run["commit_hash"], "host": run["host"], "program": run["program"], "readOnly": False,
            "createdAt": run["created"], "heartbeatAt": run["heartbeat"], "updatedAt": run["heartbeat"],
            "exitcode": run["exit_code"], "stopped": bool(run["stopped"]), "shouldStop": bool(run["stopped"]),
            "failed": run["state"] == "failed", "running": run["state"] == "running",
            "user": Node("User", {"name": "tester", "username": run["entity"]}),
            "project": project_stub(run["entity"], run["project"]), "wandbConfig": lambda **_: _internal(run),
            "historyLineCount": lambda: count(HISTORY), "eventsLineCount": lambda: count(EVENTS),
            "logLineCount": lambda: count(OUTPUT),
            "historyTail": lambda: json.dumps(stream_lines(records, row, HISTORY)[-1:]),
            "eventsTail": lambda: json.dumps(stream_lines(records, row, EVENTS)[-1:]),
            "historyKeys": lambda: _history_keys(steps()),
            "history": lambda **of: [json.dumps(step) for step in _between(steps(), **of)],
            "sampledHistory": lambda specs: [_sampled(steps(), json.loads(spec)) for spec in _listed(specs)],
            "parquetHistory": lambda **_: Node("ParquetHistory", {"parquetUrls": [], "liveData": steps()}),
        },
    )  # fmt: skip


def project_stub(entity: str, project: str) -> Node:
    """The project of something, as far as its owner and its name."""
    owner = Node("Entity", {"id": opaque("Entity", 1), "name": entity, "isTeam": False})
    number = project_number(entity, project)
    ids = {"id": opaque("Project", number), "internalId": opaque("ProjectInternalId", number)}
    return Node("Project", {**ids, "name": project, "entityName": entity, "entity": owner})


def project_number(entity: str, project: str) -> int:
    """A number of its own for a project, which needs no row: its name is all that is known of it."""
    return zlib.crc32(f"{entity}/{project}".encode())


def run_files(records: Records, run: Row, link: Any, names: Sequence[str] | None = None, **page: Any) -> Node:
    """The files that a run has uploaded; `link` makes the address of a blob."""
    rows = records.all("select * from run_files where run = ? and blob is not null order by name", run["id"])
    nodes = [
        Node(
            "File",
            {
                "id": opaque("File", number), "name": row["name"], "displayName": row["name"],
                "sizeBytes": row["size"], "md5": row["blob"], "digest": row["blob"], "mimetype": None,
                "updatedAt": run["heartbeat"], "directUrl": link(row["blob"]),
                "url": lambda blob=row["blob"], **_: link(blob),
            },
        )
        for number, row in enumerate(rows)
        if not names or row["name"] in names
    ]  # fmt: skip
    return connection(nodes, **page)


def _internal(run: Row) -> str:
    return json.dumps({"t": parsed(run["config"]).get("_wandb", {}).get("value", {}).get("t", {})})


def _history_keys(steps: Sequence[Row]) -> Row:
    keys = {key: {"typeCounts": [{"type": "number", "count": len(steps)}]} for step in steps for key in step}
    return {"sets": [], "keys": keys, "lastStep": steps[-1].get("_step", -1) if steps else -1}


def _between(steps: Sequence[Row], minStep: int = 0, maxStep: int = 2**62, **_: Any) -> list[Row]:
    return [step for step in steps if minStep <= step.get("_step", 0) < maxStep]


def _listed(specs: str | Sequence[str]) -> Sequence[str]:
    """GraphQL takes one value where a list is due."""
    return [specs] if isinstance(specs, str) else specs


def _sampled(steps: Sequence[Row], spec: Mapping[str, Any]) -> list[Row]:
    keys = spec.get("keys") or sorted({key for step in steps for key in step})
    full = [{key: step[key] for key in keys} for step in steps if all(key in step for key in keys)]
    return full[-spec.get("samples", len(full)) :] if spec.get("keys") else list(steps)
