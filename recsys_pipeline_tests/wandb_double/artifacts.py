"""Artifacts: versions of collections, written in five steps (create, manifest, files, manifest again, commit)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from recsys_pipeline_tests.wandb_double.files import Files, hex_of
from recsys_pipeline_tests.wandb_double.graphql import QueryError
from recsys_pipeline_tests.wandb_double.records import Records, now, row_of
from recsys_pipeline_tests.wandb_double.runs import find_run

Row = dict[str, Any]
OUTPUT, INPUT = "output", "input"


def collection_of(records: Records, entity: str, project: str, name: str, type_name: str | None = None) -> Row | None:
    """The collection of this name; created where `type_name` is given.

    Raises:
        QueryError: it holds artifacts of another type; a collection has one.
    """
    query = "select * from collections where entity = ? and project = ? and name = ?"
    found = records.one(query, entity, project, name)
    if found is None and type_name:
        records.change(
            "insert into collections (entity, project, type, name, created) values (?, ?, ?, ?, ?)",
            entity, project, type_name, name, now(),
        )  # fmt: skip
        found = records.one(query, entity, project, name)
    if found and type_name and found["type"] != type_name:
        raise QueryError(f"collection {name} holds artifacts of type {found['type']}, not {type_name}")
    return found


def create_artifact(records: Records, given: Mapping[str, Any]) -> Row:
    """A new version, still pending; or the one that the collection has with this digest, committed or not."""
    name = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
    collection = collection_of(records, given["entityName"], given["projectName"], name, given["artifactTypeName"])
    assert collection is not None
    run = find_run(records, given["entityName"], given["projectName"], given.get("runName") or "")
    same = None
    if given.get("enableDigestDeduplication"):
        # COMMITTED sorts before PENDING.
        query = "select * from artifacts where collection = ? and digest = ? order by state, id limit 1"
        same = records.one(query, collection["id"], given["digest"])
    row = same["id"] if same else _insert(records, collection, run, given)
    wanted = [entry["alias"] for entry in given.get("aliases") or ()]
    _want_aliases(records, row, wanted)
    if given.get("clientID"):
        records.change("insert or replace into client_ids values (?, ?)", given["clientID"], row)
    if run:
        add_edge(records, run["id"], row, OUTPUT)
    return artifact_row(records, row)


def _insert(records: Records, collection: Row, run: Row | None, given: Mapping[str, Any]) -> int:
    tags = [tag["tagName"] for tag in given.get("tags") or ()]
    return records.change(
        "insert into artifacts (collection, digest, metadata, description, client_id, run, created, tags) "
        "values (?, ?, ?, ?, ?, ?, ?, ?)",
        collection["id"], given["digest"], given.get("metadata"), given.get("description"), given.get("clientID"),
        run["id"] if run else None, now(), json.dumps(tags),
    )  # fmt: skip


def _want_aliases(records: Records, row: int, aliases: Iterable[str]) -> None:
    """Aliases of a pending version wait for its commit; a committed one takes them at once."""
    artifact = artifact_row(records, row)
    if artifact["state"] == "COMMITTED":
        move_aliases(records, artifact, aliases)
    else:
        wanted = list(dict.fromkeys([*json.loads(artifact["wanted"]), *aliases]))
        records.update("artifacts", row, wanted=json.dumps(wanted))


def artifact_row(records: Records, row: int) -> Row:
    """A version by its row.

    Raises:
        QueryError: there is none.
    """
    found = records.one("select * from artifacts where id = ?", row)
    if found is None:
        raise QueryError(f"no artifact with the id {row}", 404)
    return found


def move_aliases(records: Records, artifact: Row, aliases: Iterable[str]) -> None:
    """Point aliases at this version; each points at one version of its collection."""
    for alias in aliases:
        records.change("insert or replace into aliases values (?, ?, ?)", artifact["collection"], alias, artifact["id"])


def remove_aliases(records: Records, artifact: Row, aliases: Iterable[str]) -> None:
    """Take aliases off this version."""
    for alias in aliases:
        records.change("delete from aliases where artifact = ? and alias = ?", artifact["id"], alias)


def add_edge(records: Records, run: int, artifact: int, direction: str) -> None:
    """Record that a run made or used a version."""
    records.change("insert or ignore into edges values (?, ?, ?)", run, artifact, direction)


def set_manifest(records: Records, manifest: int, digest: str | None) -> Row:
    """Announce the digest that a manifest will have when it is uploaded."""
    records.update("manifests", manifest, digest=digest)
    found = records.one("select * from manifests where id = ?", manifest)
    if found is None:
        raise QueryError(f"no manifest with the id {manifest}", 404)
    return found


def commit_artifact(records: Records, files: Files, row: int) -> Row:
    """Give a pending version its number and its aliases, once its manifest and all files of it are there.

    Raises:
        QueryError: something of it was not uploaded.
    """
    artifact = artifact_row(records, row)
    if artifact["state"] == "COMMITTED":
        return artifact
    manifest = records.one("select * from manifests where artifact = ? and blob is not null order by id desc", row)
    if manifest is None:
        raise QueryError(f"artifact {row} has no manifest")
    contents = json.loads(files.content(manifest["blob"]))["contents"]
    missing = [
        name for name, entry in contents.items() if not entry.get("ref") and not files.has(hex_of(entry["digest"]))
    ]
    if missing:
        raise QueryError(f"artifact {row}: not uploaded: {', '.join(sorted(missing))}")
    versions = records.one("select count(version) as n from artifacts where collection = ?", artifact["collection"])
    assert versions is not None
    records.update(
        "artifacts", row, state="COMMITTED", version=versions["n"], manifest=manifest["blob"], files=len(contents),
        size=sum(entry.get("size") or 0 for entry in contents.values()),
    )  # fmt: skip
    move_aliases(records, artifact, json.loads(artifact["wanted"]))
    return artifact_row(records, row)


def use_artifact(records: Records, given: Mapping[str, Any]) -> Row:
    """Record an input of a run.

    Raises:
        QueryError: the run or the version is unknown.
    """
    artifact = artifact_row(records, row_of(given["artifactID"]))
    run = find_run(records, given["entityName"], given["projectName"], given["runName"])
    if run is None:
        raise QueryError(f"run {given['runName']} not found", 404)
    add_edge(records, run["id"], artifact["id"], INPUT)
    return artifact


def version_named(records: Records, collection: Row, reference: str) -> Row | None:
    """The committed version that an alias, or a number such as v3, means in a collection."""
    if reference.startswith("v") and reference[1:].isdigit():
        query = "select * from artifacts where collection = ? and version = ?"
        return records.one(query, collection["id"], int(reference[1:]))
    query = "select v.* from artifacts v join aliases a on a.artifact = v.id where a.collection = ? and a.alias = ?"
    return records.one(query, collection["id"], reference)
