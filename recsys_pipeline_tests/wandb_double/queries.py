"""The root of GraphQL's queries: everything that may be asked and writes nothing."""

import json
from typing import Any

from recsys_pipeline_tests.wandb_double import artifacts, runs, sweeps
from recsys_pipeline_tests.wandb_double.artifact_nodes import (
    artifact_node,
    artifacts_of_run,
    collection_node,
    membership_node,
    type_fields,
)
from recsys_pipeline_tests.wandb_double.files import Files
from recsys_pipeline_tests.wandb_double.filters import matches, ordered
from recsys_pipeline_tests.wandb_double.graphql import Node, connection
from recsys_pipeline_tests.wandb_double.records import Records, opaque, row_of

Row = dict[str, Any]
FEATURES = (
    "CLIENT_IDS", "ARTIFACT_TAGS", "ARTIFACT_COLLECTION_MEMBERSHIP_FILES", "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION", "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "TOTAL_COUNT_IN_FILE_CONNECTION", "SWEEPS_QUERY_FILTERING", "LARGE_FILENAMES",
)  # fmt: skip
"""What the double says it can; the client then takes the way that it takes with W&B's own service."""


class Queries:
    """Answers to everything that does not write."""

    def __init__(self, records: Records, files: Files, entity: str) -> None:
        self.records = records
        self.files = files
        self.entity = entity

    def root(self) -> Node:
        """The fields of `query`."""
        return Node(
            "Query",
            {
                "viewer": self.viewer, "serverInfo": self.server_info, "project": self.project,
                "model": self.project, "models": self.projects, "entity": self.owner, "artifact": self.artifact,
                "clientIDMapping": self.client_id, "organization": lambda **_: None,
            },
        )  # fmt: skip

    def viewer(self) -> Node:
        """The account behind the key."""
        teams = connection([])
        return Node(
            "User",
            {
                "id": opaque("User", 1), "entity": self.entity, "username": self.entity, "name": "tester",
                "email": "tester@example.com", "flags": "{}", "teams": teams, "admin": False, "deletedAt": None,
                "apiKeys": connection([]), "accountType": "USER",
            },
        )  # fmt: skip

    def server_info(self) -> Node:
        """What this server can."""
        features = [Node("ServerFeature", {"name": name, "isEnabled": True}) for name in FEATURES]
        return Node("ServerInfo", {"features": features, "cliVersionInfo": {"max_cli_version": "99.0.0"}})

    def owner(self, name: str) -> Node:
        """A user or a team; the double has no organisations."""
        fields = {"id": opaque("Entity", 1), "name": name, "isTeam": False, "organization": None, "user": None}
        return Node("Entity", {**fields, "xxhashDigestsEnabled": False})

    def client_id(self, clientID: str) -> Node | None:
        """The server's id of an artifact that a client named before it was logged."""
        found = self.records.one("select artifact from client_ids where client_id = ?", clientID)
        return Node("ClientIDMapping", {"serverID": opaque("Artifact", found["artifact"])}) if found else None

    def artifact(self, id: str) -> Node:
        """A version by its id."""
        return artifact_node(self.records, self.files, artifacts.artifact_row(self.records, row_of(id)))

    def projects(self, entityName: str | None = None, **page: Any) -> Node:
        """The projects of an entity."""
        entity = entityName or self.entity
        names = self.records.all("select distinct project from runs where entity = ? order by project", entity)
        return connection([self.project(row["project"], entity) for row in names], **page)

    def project(self, name: str | None = None, entityName: str | None = None) -> Node:
        """A project; W&B makes one when a run first names it, so every name is one here."""
        records, entity, project = self.records, entityName or self.entity, name or "uncategorized"
        stub = runs.project_stub(entity, project)
        user = lambda: Node("User", {**self.viewer().fields})  # noqa: E731 (read when asked for)
        return Node(
            "Project",
            {
                **stub.fields, "readOnly": False, "createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False,
                "user": user, "run": lambda name: self._run(entity, project, name),
                "bucket": lambda name, **_: self._run(entity, project, name),
                "runCount": lambda filters=None: len(self._runs(entity, project, filters)),
                "runs": lambda filters=None, order=None, **page: connection(
                    [self.run_node(run) for run in ordered(self._runs(entity, project, filters), order)], **page
                ),
                "sweep": lambda sweepName: self._sweep(sweeps.find_sweep(records, entity, project, sweepName)),
                "totalSweeps": lambda: len(self._sweeps(entity, project)),
                "sweeps": lambda **page: connection(self._sweeps(entity, project), **page),
                "artifactCollection": lambda name: self._collection(entity, project, name),
                "artifactCollectionMembership": lambda name: self._version(entity, project, name, membership_node),
                "artifact": lambda name: self._version(entity, project, name, artifact_node),
                "artifactType": lambda name: self._type(entity, project, name),
                "artifactTypes": lambda **page: connection(self._types(entity, project), **page),
            },
        )  # fmt: skip

    def run_node(self, run: Row) -> Node:
        """A run with its files and its artifacts."""

        def link(blob: str) -> str:
            return self.files.signed(f"/storage/blob/{blob}")

        def files(names: list[str] | None = None, **page: Any) -> Node:
            return runs.run_files(self.records, run, link, names, **page)

        def used(**page: Any) -> Node:
            return artifacts_of_run(self.records, self.files, run["id"], artifacts.INPUT, **page)

        def made(**page: Any) -> Node:
            return artifacts_of_run(self.records, self.files, run["id"], artifacts.OUTPUT, **page)

        count = lambda: files().fields["totalCount"]  # noqa: E731 (read when asked for)
        node = runs.run_node(self.records, run)
        more = {"files": files, "fileCount": count, "inputArtifacts": used, "outputArtifacts": made}
        return Node("Run", {**node.fields, **more})

    def _run(self, entity: str, project: str, name: str) -> Node | None:
        found = runs.find_run(self.records, entity, project, name)
        return self.run_node(found) if found else None

    def _runs(self, entity: str, project: str, filters: str | None) -> list[Row]:
        found = self.records.all("select * from runs where entity = ? and project = ? order by id", entity, project)
        return [run for run in found if matches(run, json.loads(filters or "{}"))]

    def _sweep(self, found: Row | None) -> Node | None:
        return sweeps.sweep_node(self.records, found) if found else None

    def _sweeps(self, entity: str, project: str) -> list[Node]:
        query = "select * from sweeps where entity = ? and project = ? order by id"
        return [sweeps.sweep_node(self.records, row) for row in self.records.all(query, entity, project)]

    def _collection(self, entity: str, project: str, name: str) -> Node | None:
        found = artifacts.collection_of(self.records, entity, project, name)
        return collection_node(self.records, self.files, found) if found else None

    def _version(self, entity: str, project: str, name: str, shape: Any) -> Node | None:
        collection, _, reference = name.partition(":")
        found = artifacts.collection_of(self.records, entity, project, collection)
        version = artifacts.version_named(self.records, found, reference or "latest") if found else None
        return shape(self.records, self.files, version) if version else None

    def _type(self, entity: str, project: str, name: str) -> Node | None:
        of_type = "select * from collections where entity = ? and project = ? and type = ? order by name"
        found = self.records.all(of_type, entity, project, name)
        if not found:
            return None
        nodes = {row["name"]: collection_node(self.records, self.files, row) for row in found}
        fields = type_fields(name, found[0]["created"])
        page = lambda **of: connection(list(nodes.values()), **of)  # noqa: E731
        return Node(
            "ArtifactType", {**fields, "artifactCollection": lambda name: nodes.get(name), "artifactCollections": page}
        )

    def _types(self, entity: str, project: str) -> list[Node]:
        query = "select distinct type from collections where entity = ? and project = ? order by type"
        found = [self._type(entity, project, row["type"]) for row in self.records.all(query, entity, project)]
        return [node for node in found if node]
