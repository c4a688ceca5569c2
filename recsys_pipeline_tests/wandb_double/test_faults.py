"""Told to fail, the double fails; the unmodified client then does what it does with the real server."""

import time

import pytest
from wandb.errors import CommError

from recsys_pipeline_tests.wandb_double import Edge, WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client
from recsys_pipeline_tests.wandb_double.test_client import artifact_with, start_run


def log_all(project: str, content: bytes = b"") -> float:
    """A run with a metric and an artifact (its project's name where no content is given); gives the seconds it took."""
    began = time.monotonic()
    with start_run(project, project) as run:
        run.log({"loss": 1.0})
        run.log_artifact(artifact_with("als", {"w.txt": content or project.encode()})).wait(timeout=20)
    return time.monotonic() - began


def statuses(double: WandbDouble, before: int, operation: str) -> list[int | None]:
    """How the requests of this name ended."""
    return [request.status for request in double.requests(before) if request.operation == operation]


def assert_complete(double: WandbDouble, project: str) -> None:
    """Everything arrived, and once."""
    assert [run.state for run in double.runs(project)] == ["finished"]
    assert [row["loss"] for row in double.history(project)] == [1.0]
    assert double.edges(project) == {Edge(project, "output", "als:v0")}


def test_a_refused_key_is_an_error_at_once(client: Client, double: WandbDouble, project: str) -> None:
    before = len(double.requests())
    double.fail(status=401, times=None)
    with pytest.raises(CommError, match="401"):
        client.call(log_all, project)
    assert (statuses(double, before, "UpsertBucket"), double.runs(project)) == ([401], [])


def test_retry_after_is_waited_for(client: Client, double: WandbDouble, project: str) -> None:
    before = len(double.requests())
    double.fail("UpsertBucket", status=429, retry_after_s=2)
    assert client.call(log_all, project) >= 2
    assert statuses(double, before, "UpsertBucket")[:2] == [429, 200]
    assert_complete(double, project)


@pytest.mark.parametrize("operation", ["CreateArtifact", "file_stream"])
def test_a_server_error_that_passes_costs_nothing(
    client: Client, double: WandbDouble, project: str, operation: str
) -> None:
    before = len(double.requests())
    double.fail(operation, status=500, times=1)
    client.call(log_all, project)
    assert statuses(double, before, operation)[0] == 500
    assert_complete(double, project)


@pytest.mark.parametrize(("operation", "done"), [("CommitArtifact", True), ("file_stream", True), ("upload", False)])
def test_a_dropped_connection_doubles_nothing(
    client: Client, double: WandbDouble, project: str, operation: str, done: bool
) -> None:
    """With `done` the server did what was asked and only the answer was lost: the client asks again."""
    before = len(double.requests())
    double.drop(operation, done=done)
    client.call(log_all, project)
    assert statuses(double, before, operation)[0] == 0
    assert_complete(double, project)


def test_a_slow_upload_is_waited_for(client: Client, double: WandbDouble, project: str) -> None:
    double.delay("upload", seconds=1.0)
    assert client.call(log_all, project) >= 1.0
    assert_complete(double, project)


def test_what_an_interrupted_upload_left_is_completed_later(client: Client, double: WandbDouble, project: str) -> None:
    double.fail("CommitArtifact", status=500, times=None)
    with pytest.raises(ValueError, match="commitArtifact"):
        client.call(log_all, project)
    assert (double.artifacts(project), double.edges(project)) == ([], set())
    double.heal()
    before = len(double.requests())
    client.call(log_all, project)
    assert double.edges(project) == {Edge(project, "output", "als:v0")}
    sent = [request.detail for request in double.requests(before) if request.operation == "upload"]
    assert not [path for path in sent if path.startswith("/storage/artifact/")], "the bytes were there already"
