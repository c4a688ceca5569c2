"""What the double refuses, asked without a client: wrong keys, unknown fields, unsigned addresses, damaged bytes."""

import base64
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline_tests.wandb_double import WandbDouble


@pytest.fixture
def double(tmp_path: Path) -> Iterator[WandbDouble]:
    """A double of each test's own, because these tests ask for what it does not know."""
    with WandbDouble(tmp_path) as started:
        yield started


def send(url: str, body: Any = None, method: str = "POST", key: str | None = None) -> tuple[int, bytes]:
    """One request; `body` goes as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=None if method == "GET" else content, method=method)
    if key:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"api:{key}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def ask(double: WandbDouble, query: str, **variables: Any) -> Any:
    """A GraphQL request with the right key; gives its data."""
    status, content = send(f"{double.url}/graphql", {"query": query, "variables": variables}, key=double.key)
    assert status == 200, content
    return json.loads(content)["data"]


def refused(double: WandbDouble, query: str, **variables: Any) -> str:
    """The message of a GraphQL request that is refused."""
    status, content = send(f"{double.url}/graphql", {"query": query, "variables": variables}, key=double.key)
    assert status == 400, content
    return json.loads(content)["errors"][0]["message"]


def test_a_wrong_key_is_refused(double: WandbDouble) -> None:
    for key in (None, "0" * 40):
        status, _ = send(f"{double.url}/graphql", {"query": "query Viewer { viewer { id } }"}, key=key)
        assert status == 401
    assert ask(double, "query Viewer { viewer { entity } }") == {"viewer": {"entity": "tester"}}
    assert double.unanswered() == []


def test_an_unknown_field_is_named_and_remembered(double: WandbDouble) -> None:
    message = refused(double, "query Viewer { viewer { shoeSize } }")
    assert message == 'Cannot query field "shoeSize" on type "User".'
    assert double.unanswered() == [f"Viewer: {message}"]


def test_an_unknown_mutation_is_named_and_remembered(double: WandbDouble) -> None:
    refused(double, "mutation Launch { launchRocket(input: {}) { success } }")
    assert double.unanswered() == ['Launch: Cannot query field "launchRocket" on type "Mutation".']


def test_an_unknown_address_is_not_found(double: WandbDouble) -> None:
    assert send(f"{double.url}/elsewhere", {}, key=double.key)[0] == 404
    assert send(f"{double.url}/elsewhere", method="GET", key=double.key)[0] == 404


CREATE = """mutation CreateArtifact($input: CreateArtifactInput!) {
    createArtifact(input: $input) { artifact { id state } } }"""
MANIFEST = """mutation CreateArtifactManifest($artifact: ID!) {
    createArtifactManifest(input: {artifactID: $artifact, name: "m", digest: "", type: FULL}) {
        artifactManifest { id file { uploadUrl } } } }"""
FILES = """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
    createArtifactFiles(input: $input) { files { edges { node { uploadUrl } } } } }"""
COMMIT = "mutation CommitArtifact($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { state } } }"
CONTENT = b"the bytes"
MD5 = base64.b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()


def begin_artifact(double: WandbDouble) -> tuple[str, str]:
    """An artifact with a manifest that names one file; gives its id and where to send the file."""
    given: dict[str, Any] = {
        "artifactCollectionName": "als",
        "artifactTypeName": "models",
        "projectName": "p",
        "digest": "d",
    }
    given |= {"enableDigestDeduplication": True}
    artifact = ask(double, CREATE, input=given)["createArtifact"]["artifact"]["id"]
    manifest = ask(double, MANIFEST, artifact=artifact)["createArtifactManifest"]["artifactManifest"]["file"]
    contents = {"contents": {"w.txt": {"digest": MD5, "size": len(CONTENT)}}}
    assert send(manifest["uploadUrl"], contents, "PUT")[0] == 200
    files = {"artifactFiles": [{"artifactID": artifact, "name": "w.txt", "md5": MD5}]}
    (edge,) = ask(double, FILES, input=files)["createArtifactFiles"]["files"]["edges"]
    return artifact, edge["node"]["uploadUrl"]


def test_an_artifact_without_its_bytes_is_not_committed(double: WandbDouble) -> None:
    artifact, address = begin_artifact(double)
    assert "not uploaded: w.txt" in refused(double, COMMIT, id=artifact)
    assert double.artifacts() == []
    assert send(address, CONTENT, "PUT")[0] == 200
    assert ask(double, COMMIT, id=artifact)["commitArtifact"]["artifact"]["state"] == "COMMITTED"
    assert [kept.files for kept in double.artifacts()] == [{"w.txt": MD5}]


def test_bytes_that_were_damaged_on_the_way_are_refused(double: WandbDouble) -> None:
    artifact, address = begin_artifact(double)
    status, content = send(address, CONTENT[:-1], "PUT")
    assert status == 400
    assert b"announced was" in content
    assert "not uploaded" in refused(double, COMMIT, id=artifact)


def test_an_address_without_its_signature_is_refused(double: WandbDouble) -> None:
    _, address = begin_artifact(double)
    assert send(address.partition("?")[0], CONTENT, "PUT")[0] == 403
    assert send(address + "0", CONTENT, "PUT")[0] == 403


def test_a_stream_of_an_unknown_run_is_refused(double: WandbDouble) -> None:
    assert send(f"{double.url}/files/tester/p/nobody/file_stream", {"files": {}}, key=double.key)[0] == 404


def test_requests_say_which_of_them_write(double: WandbDouble) -> None:
    ask(double, "query Viewer { viewer { id } }")
    before = len(double.requests())
    begin_artifact(double)
    assert [request.operation for request in double.requests()[:before]] == ["Viewer"]
    assert [request.operation for request in double.writes()] == [
        "CreateArtifact", "CreateArtifactManifest", "upload", "CreateArtifactFiles",
    ]  # fmt: skip
    ask(double, "query Viewer { viewer { id } }")
    assert double.writes(since=len(double.requests()) - 1) == []


def test_a_dropped_request_is_one_without_a_status(double: WandbDouble) -> None:
    double.drop("Viewer")
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        ask(double, "query Viewer { viewer { id } }")
    assert [(request.operation, request.status) for request in double.requests()] == [("Viewer", 0)]


def test_clients_that_log_the_same_bytes_at_once_share_a_version(double: WandbDouble) -> None:
    def log(_: int) -> str:
        artifact, address = begin_artifact(double)
        if address:
            assert send(address, CONTENT, "PUT")[0] == 200
        return ask(double, COMMIT, id=artifact)["commitArtifact"]["artifact"]["state"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(log, range(16))) == {"COMMITTED"}
    assert [(artifact.version, artifact.digest) for artifact in double.artifacts()] == [(0, "d")]
    assert double.unanswered() == []


SWEEP = "mutation UpsertSweep($config: String) { upsertSweep(input: {config: $config}) { sweep { name state } } }"
AGENT = 'mutation CreateAgent($s: String!) { createAgent(input: {sweep: $s, host: "h"}) { agent { id } } }'
BEAT = "mutation Heartbeat($id: ID!) { agentHeartbeat(input: {id: $id}) { commands } }"


def test_a_paused_sweep_hands_out_nothing_until_it_goes_on(double: WandbDouble) -> None:
    config = "{method: random, parameters: {a: {value: 1}}}"
    name = ask(double, SWEEP, config=config)["upsertSweep"]["sweep"]["name"]
    agent = ask(double, AGENT, s=name)["createAgent"]["agent"]["id"]

    def told() -> list[str]:
        return [entry["type"] for entry in json.loads(ask(double, BEAT, id=agent)["agentHeartbeat"]["commands"])]

    seen = {}
    for state in ("PAUSED", "RUNNING", "CANCELED"):
        double.set_sweep_state(name, state)
        seen[state] = told()
    assert seen == {"PAUSED": [], "RUNNING": ["run"], "CANCELED": ["exit"]}
