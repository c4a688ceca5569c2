"""The root of GraphQL's mutations: everything that writes, apart from the streams and the uploads."""

import json
from collections.abc import Mapping
from typing import Any

from recsys_pipeline_tests.wandb_double import artifacts, runs, sweeps
from recsys_pipeline_tests.wandb_double.artifact_nodes import artifact_node
from recsys_pipeline_tests.wandb_double.files import Files, hex_of
from recsys_pipeline_tests.wandb_double.graphql import Node, QueryError, connection
from recsys_pipeline_tests.wandb_double.queries import Queries
from recsys_pipeline_tests.wandb_double.records import Records, opaque, row_of

Given = Mapping[str, Any]


class Mutations:
    """Each method is a mutation; it takes its `input`."""

    def __init__(self, records: Records, files: Files, queries: Queries) -> None:
        self.records = records
        self.files = files
        self.queries = queries

    def root(self) -> Node:
        """The fields of `mutation`."""
        known = {
            "upsertBucket": self.upsert_run, "upsertModel": self.upsert_project, "updateRunState": self.set_run_state,
            "stopRun": self.stop_run, "createRunFiles": self.create_run_files,
            "markRunFilesUploaded": lambda _: _success(), "notifyScriptableRunAlert": self.alert,
            "createArtifact": self.create_artifact, "createArtifactManifest": self.create_manifest,
            "updateArtifactManifest": self.update_manifest, "createArtifactFiles": self.create_artifact_files,
            "commitArtifact": self.commit, "useArtifact": self.use, "updateArtifact": self.update_artifact,
            "addAliases": self.add_aliases, "deleteAliases": self.delete_aliases,
            "upsertSweep": self.upsert_sweep, "createAgent": self.create_agent, "agentHeartbeat": self.beat,
        }  # fmt: skip
        return Node("Mutation", {name: _taking_input(method) for name, method in known.items()})

    def upsert_run(self, given: Given) -> Node:
        """Create, resume or edit a run."""
        run, inserted = runs.upsert_run(self.records, *self._project(given, "modelName"), given)
        return Node("UpsertBucketPayload", {"bucket": self.queries.run_node(run), "inserted": inserted})

    def upsert_project(self, given: Given) -> Node:
        """A project needs no making: the first run in it makes it."""
        project = self.queries.project(given["name"], given.get("entityName"))
        return Node("UpsertModelPayload", {"project": project, "model": project, "inserted": True})

    def set_run_state(self, given: Given) -> Node:
        """Say that a run is, for example, crashed."""
        self.records.update("runs", row_of(given["id"]), state=given["state"])
        return _success()

    def stop_run(self, given: Given) -> Node:
        """Ask a run to stop; its agent hears of it with the next heartbeat."""
        self.records.update("runs", row_of(given["id"]), stopped=1)
        return _success()

    def create_run_files(self, given: Given) -> Node:
        """Addresses to which a run uploads its files."""
        run = runs.find_run(self.records, *self._project(given), given["runName"])
        if run is None:
            raise QueryError(f"run {given['runName']} not found", 404)
        for name in given["files"]:
            self.records.change("insert or ignore into run_files (run, name) values (?, ?)", run["id"], name)
        nodes = [
            Node("File", {"name": name, "uploadUrl": self.files.signed(f"/storage/run/{run['id']}/{name}")})
            for name in given["files"]
        ]
        return Node("CreateRunFilesPayload", {"runID": opaque("Run", run["id"]), "uploadHeaders": [], "files": nodes})

    def alert(self, given: Given) -> Node:
        """Keep an alert of a run."""
        run = runs.find_run(self.records, *self._project(given), given["runName"])
        if run is None:
            raise QueryError(f"run {given['runName']} not found", 404)
        told = (run["id"], given["title"], given["text"], given.get("severity"))
        self.records.change("insert into alerts values (?, ?, ?, ?)", *told)
        return _success()

    def create_artifact(self, given: Given) -> Node:
        """A new version, or the one that has this digest already."""
        entity, project = self._project(given)
        made = artifacts.create_artifact(self.records, {**given, "entityName": entity, "projectName": project})
        return Node("CreateArtifactPayload", {"artifact": artifact_node(self.records, self.files, made)})

    def create_manifest(self, given: Given) -> Node:
        """A place for a version's manifest."""
        if given.get("type", "FULL") != "FULL":
            raise QueryError(f"manifests of type {given['type']} are not known here")
        artifact = row_of(given["artifactID"])
        insert = "insert into manifests (artifact, name, type, digest) values (?, ?, ?, ?)"
        row = self.records.change(insert, artifact, given["name"], given.get("type", "FULL"), given.get("digest"))
        return Node("CreateArtifactManifestPayload", {"artifactManifest": self._manifest(row)})

    def update_manifest(self, given: Given) -> Node:
        """Announce a manifest's digest; the answer says where to upload it."""
        row = row_of(given["artifactManifestID"])
        artifacts.set_manifest(self.records, row, given.get("digest"))
        return Node("UpdateArtifactManifestPayload", {"artifactManifest": self._manifest(row)})

    def create_artifact_files(self, given: Given) -> Node:
        """Addresses for the files of a version; none for bytes that are here already."""
        nodes = [self._artifact_file(entry) for entry in given["artifactFiles"]]
        return Node("CreateArtifactFilesPayload", {"files": connection(nodes)})

    def commit(self, given: Given) -> Node:
        """Finish a version."""
        return self._artifact_payload(artifacts.commit_artifact(self.records, self.files, row_of(given["artifactID"])))

    def use(self, given: Given) -> Node:
        """Record an input of a run."""
        entity, project = self._project(given)
        used = artifacts.use_artifact(self.records, {**given, "entityName": entity, "projectName": project})
        return self._artifact_payload(used)

    def update_artifact(self, given: Given) -> Node:
        """Change a version's metadata, description, aliases or tags."""
        artifact = artifacts.artifact_row(self.records, row_of(given["artifactID"]))
        tags = [*json.loads(artifact["tags"]), *(tag["tagName"] for tag in given.get("tagsToAdd") or ())]
        gone = {tag["tagName"] for tag in given.get("tagsToDelete") or ()}
        self.records.update(
            "artifacts", artifact["id"], metadata=given.get("metadata"), description=given.get("description"),
            tags=json.dumps([tag for tag in dict.fromkeys(tags) if tag not in gone]),
        )  # fmt: skip
        artifacts.move_aliases(self.records, artifact, [entry["alias"] for entry in given.get("aliases") or ()])
        return self._artifact_payload(artifacts.artifact_row(self.records, artifact["id"]))

    def add_aliases(self, given: Given) -> Node:
        """Move aliases to a version."""
        artifact = artifacts.artifact_row(self.records, row_of(given["artifactID"]))
        artifacts.move_aliases(self.records, artifact, [entry["alias"] for entry in given["aliases"]])
        return _success()

    def delete_aliases(self, given: Given) -> Node:
        """Take aliases off a version."""
        artifact = artifacts.artifact_row(self.records, row_of(given["artifactID"]))
        artifacts.remove_aliases(self.records, artifact, [entry["alias"] for entry in given["aliases"]])
        return _success()

    def upsert_sweep(self, given: Given) -> Node:
        """Create a sweep, or change its state or config."""
        made = sweeps.upsert_sweep(self.records, *self._project(given), given)
        fields = {"sweep": sweeps.sweep_node(self.records, made), "configValidationWarnings": []}
        return Node("UpsertSweepPayload", fields)

    def create_agent(self, given: Given) -> Node:
        """Register an agent with a sweep."""
        agent = sweeps.create_agent(self.records, *self._project(given), given["sweep"], given["host"])
        return Node("CreateAgentPayload", {"agent": sweeps.agent_node(self.records, agent)})

    def beat(self, given: Given) -> Node:
        """Take a heartbeat and answer with commands."""
        row = row_of(given["id"])
        commands = sweeps.beat(self.records, row, json.loads(given.get("runState") or "{}"))
        agent = Node("Agent", {"id": given["id"]})
        return Node("AgentHeartbeatPayload", {"agent": agent, "commands": json.dumps(commands)})

    def _project(self, given: Given, project: str = "projectName") -> tuple[str, str]:
        return given.get("entityName") or self.queries.entity, given.get(project) or "uncategorized"

    def _artifact_payload(self, artifact: dict[str, Any]) -> Node:
        return Node("ArtifactPayload", {"artifact": artifact_node(self.records, self.files, artifact)})

    def _manifest(self, row: int) -> Node:
        address = self.files.signed(f"/storage/manifest/{row}")
        file = Node("File", {"id": opaque("File", row), "uploadUrl": address, "uploadHeaders": []})
        return Node("ArtifactManifest", {"id": opaque("ArtifactManifest", row), "file": file})

    def _artifact_file(self, entry: Given) -> Node:
        digest = hex_of(entry["md5"])
        address = None if self.files.has(digest) else self.files.signed(f"/storage/artifact/{digest}")
        fields = {
            "name": entry["name"], "displayName": entry["name"], "storagePath": digest, "uploadUrl": address,
            "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": Node("Artifact", {"id": entry["artifactID"]}),
        }  # fmt: skip
        return Node("File", fields)


def _success() -> Node:
    return Node("Payload", {"success": True})


def _taking_input(method: Any) -> Any:
    return lambda input: method(input)
