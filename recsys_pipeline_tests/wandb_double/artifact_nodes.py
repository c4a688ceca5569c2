"""Artifacts and collections as GraphQL shows them."""

import json
from collections.abc import Sequence
from typing import Any

from recsys_pipeline_tests.wandb_double.artifacts import INPUT, OUTPUT, artifact_row, version_named
from recsys_pipeline_tests.wandb_double.files import Files, hex_of
from recsys_pipeline_tests.wandb_double.graphql import Node, connection
from recsys_pipeline_tests.wandb_double.records import Records, opaque
from recsys_pipeline_tests.wandb_double.runs import project_stub, run_node

Row = dict[str, Any]


def collection_node(records: Records, files: Files, collection: Row) -> Node:
    """A sequence of versions."""
    kind = Node("ArtifactType", type_fields(collection["type"], collection["created"]))
    query = "select * from artifacts where collection = ? and state = 'COMMITTED' order by version desc"

    def versions() -> list[Row]:
        return records.all(query, collection["id"])

    def latest() -> Node | None:
        found = version_named(records, collection, "latest") or next(iter(versions()), None)
        return artifact_node(records, files, found) if found else None

    def member(aliasName: str) -> Node | None:
        found = version_named(records, collection, aliasName)
        return membership_node(records, files, found) if found else None

    def page(filters: str | None = None, order: str | None = None, **of: Any) -> Node:  # noqa: ARG001
        nodes = [artifact_node(records, files, row) for row in versions()]
        return connection(nodes, edge=lambda node: {"version": f"v{node.fields['versionIndex']}"}, **of)

    return Node(
        "ArtifactSequence",
        {
            "id": opaque("ArtifactSequence", collection["id"]), "name": collection["name"], "description": None,
            "createdAt": collection["created"], "updatedAt": collection["created"], "type": kind,
            "defaultArtifactType": kind, "project": project_stub(collection["entity"], collection["project"]),
            "tags": lambda **_: connection([]), "latestArtifact": latest, "artifactMembership": member,
            "artifacts": page, "digestAlgorithm": "MANIFEST_MD5",
            "aliases": lambda **of: connection(alias_nodes(records, "collection", collection["id"]), **of),
        },
    )  # fmt: skip


def type_fields(name: str, created: str) -> Row:
    """The plain fields of an artifact type."""
    return {"id": opaque(f"ArtifactType:{name}", 1), "name": name, "description": None, "createdAt": created}


def alias_nodes(records: Records, column: str, row: int) -> list[Node]:
    """The aliases of a version (column "artifact") or of a whole collection."""
    aliases = records.all(f"select * from aliases where {column} = ? order by alias", row)
    return [
        Node(
            "ArtifactAlias",
            {
                "id": opaque(f"ArtifactAlias:{alias['collection']}:{alias['alias']}", number), "alias": alias["alias"],
                "artifactCollection": lambda alias=alias: _collection_stub(records, alias["collection"]),
            },
        )
        for number, alias in enumerate(aliases)
    ]  # fmt: skip


def _collection_stub(records: Records, row: int) -> Node:
    (found,) = records.all("select * from collections where id = ?", row)
    fields = {"id": opaque("ArtifactSequence", row), "name": found["name"]}
    return Node("ArtifactSequence", {**fields, "project": project_stub(found["entity"], found["project"])})


def membership_node(records: Records, files: Files, artifact: Row) -> Node:
    """A version's place in its collection."""
    (collection,) = records.all("select * from collections where id = ?", artifact["collection"])
    return Node(
        "ArtifactCollectionMembership",
        {
            "id": opaque("ArtifactCollectionMembership", artifact["id"]), "versionIndex": artifact["version"],
            "createdAt": artifact["created"], "aliases": lambda: alias_nodes(records, "artifact", artifact["id"]),
            "artifactCollection": lambda: collection_node(records, files, collection),
            "artifact": lambda: artifact_node(records, files, artifact),
            "files": lambda **of: _file_page(files, artifact, **of),
        },
    )  # fmt: skip


def artifact_node(records: Records, files: Files, artifact: Row) -> Node:
    """A version."""
    row = artifact["id"]
    (collection,) = records.all("select * from collections where id = ?", artifact["collection"])
    sequence = lambda: collection_node(records, files, collection)  # noqa: E731 (read when asked for)
    tags = [Node("Tag", {"id": opaque(f"Tag:{tag}", 1), "name": tag}) for tag in json.loads(artifact["tags"])]
    return Node(
        "Artifact",
        {
            "id": opaque("Artifact", row), "digest": artifact["digest"], "digestAlgorithm": "MANIFEST_MD5",
            "state": artifact["state"], "versionIndex": artifact["version"], "metadata": artifact["metadata"],
            "description": artifact["description"], "createdAt": artifact["created"],
            "updatedAt": artifact["created"], "size": artifact["size"], "fileCount": artifact["files"],
            "commitHash": None, "historyStep": None, "ttlDurationSeconds": -2, "ttlIsInherited": True, "tags": tags,
            "artifactType": Node("ArtifactType", type_fields(collection["type"], collection["created"])),
            "artifactSequence": sequence, "aliases": lambda: alias_nodes(records, "artifact", row),
            "currentManifest": lambda: _manifest(files, artifact),
            "createdBy": lambda: _created_by(records, artifact),
            "usedBy": lambda **of: connection(_runs(records, row, INPUT), **of),
            "filesByManifestEntries": lambda **of: _file_page(files, artifact, of.get("entries")),
            "files": lambda **of: _file_page(files, artifact, **of),
        },
    )  # fmt: skip


def artifacts_of_run(records: Records, files: Files, run: int, direction: str, **page: Any) -> Node:
    """The committed versions that a run used or made."""
    rows = records.all("select artifact from edges where run = ? and direction = ? order by rowid", run, direction)
    found = [artifact_row(records, row["artifact"]) for row in rows]
    nodes = [artifact_node(records, files, row) for row in found if row["state"] == "COMMITTED"]
    return connection(nodes, **page)


def _runs(records: Records, artifact: int, direction: str) -> list[Node]:
    query = "select r.* from runs r join edges e on e.run = r.id where e.artifact = ? and e.direction = ? order by r.id"
    return [run_node(records, run) for run in records.all(query, artifact, direction)]


def _created_by(records: Records, artifact: Row) -> Node | None:
    run = records.one("select * from runs where id = ?", artifact["run"])
    return run_node(records, run) if run else next(iter(_runs(records, artifact["id"], OUTPUT)), None)


def _manifest(files: Files, artifact: Row) -> Node | None:
    if not artifact["manifest"]:
        return None
    address = files.signed(f"/storage/blob/{artifact['manifest']}")
    return Node("ArtifactManifest", {"file": Node("File", {"directUrl": address}), "digest": artifact["digest"]})


def _file_page(files: Files, artifact: Row, entries: Sequence[Row] | None = None, **page: Any) -> Node:
    contents = json.loads(files.content(artifact["manifest"]))["contents"]
    names = page.pop("names", None) or [entry["name"] for entry in entries or ()]
    nodes = [
        _file(files, artifact, number, name, entry)
        for number, (name, entry) in enumerate(sorted(contents.items()))
        if not entry.get("ref") and (not names or name in names)
    ]
    return connection(nodes, **page)


def _file(files: Files, artifact: Row, number: int, name: str, entry: Row) -> Node:
    digest = hex_of(entry["digest"])
    address = files.signed(f"/storage/blob/{digest}")
    fields = {
        "id": opaque(f"File:{artifact['id']}", number), "name": name, "displayName": name, "url": address,
        "directUrl": address, "sizeBytes": entry.get("size", 0), "storagePath": digest, "mimetype": None,
        "updatedAt": artifact["created"], "digest": entry["digest"], "md5": entry["digest"],
    }  # fmt: skip
    return Node("File", fields)
