"""The mirror on a double of W&B's server, through the unmodified client: complete, idempotent, resumable, in order."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.locks import exclusive
from recsys_pipeline.adapters.wandb.server import KeyRefusedError
from recsys_pipeline_tests.adapters.mirror_fixtures import CHAIN, DAY, SOURCE, Home, push, wait_until
from recsys_pipeline_tests.adapters.mirror_server import View
from recsys_pipeline_tests.mirrored import differences
from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client, without_wandb


def test_a_day_made_offline_is_the_same_graph_in_wandb(server: WandbDouble, client: Client, home: Home) -> None:
    made = home.make_chain()
    home.make("reports/drift", made["models/als"], tracked=False)
    report = client.call(push, home)
    assert (len(report.sent), report.left) == (7, ())
    assert differences(home.graph, View(server, home)) == []
    als = next(one for one in server.artifacts(home.project) if one.type == "models" and "als" in one.name)
    assert als.aliases == {"latest", DAY, f"{DAY}.{made['models/als'].manifest.digest[:16]}"}
    assert (als.metadata["asset_key"], als.metadata["dagster_run"], als.metadata["ndcg"]) == (
        "models/als", home.project, 0.5,
    )  # fmt: skip
    assert set(als.files) == {"data.txt", "manifest.json"}
    (run,) = [run for run in server.runs(home.project) if run.display_name == f"models/als@{DAY}"]
    assert (run.state, run.group, run.job_type, run.tags) == ("finished", DAY, "models", (SOURCE,))
    assert [row["loss"] for row in server.history(run.name)] == [3.0, 2.0]
    assert run.config["partition"] == DAY

    before = len(server.requests())
    again = client.call(push, home)
    assert (again.sent, again.left) == ((), ())
    assert server.requests(before) == [], "nothing is asked either"


def test_losing_the_acknowledgements_sends_nothing_twice(server: WandbDouble, client: Client, home: Home) -> None:
    snapshot = home.make("dataset/snapshot")
    home.make("models/als", snapshot)
    client.call(push, home)
    edges, artifacts = View(server, home).edges(), server.artifacts(home.project)
    shutil.rmtree(home.outbox.sent_folder)
    report = client.call(push, home)
    assert len(report.sent) == 2
    assert View(server, home).edges() == edges
    assert server.artifacts(home.project) == artifacts
    assert [len(server.history(run.name)) for run in server.runs(home.project)] == [2, 2]


@pytest.mark.parametrize("operation", ["CommitArtifact", "file_stream"])
def test_a_push_that_is_killed_is_completed_by_the_next(
    server: WandbDouble, client: Client, home: Home, operation: str
) -> None:
    snapshot = home.make("dataset/snapshot")
    home.make("models/als", snapshot)
    server.delay(operation, seconds=20, times=None)
    before = len(server.requests())
    script = (
        "import sys; from pathlib import Path; from recsys_pipeline_tests.adapters.mirror_fixtures import Home, push\n"
        "push(Home(Path(sys.argv[1]), sys.argv[2]))"
    )
    environment = {**without_wandb(os.environ), **server.environment(), "PYTHONPATH": str(Path.cwd())}
    child = subprocess.Popen([sys.executable, "-c", script, str(home.folder), home.project], env=environment)
    wait_until(lambda: any(request.operation == operation for request in server.requests(before)))
    child.send_signal(signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    server.heal()
    report = client.call(push, home)
    assert report.left == ()
    assert differences(home.graph, View(server, home)) == []
    assert [len(server.history(run.name)) for run in server.runs(home.project)] == [2, 2]
    assert {run.state for run in server.runs(home.project)} == {"finished"}


def test_a_stumbling_server_is_asked_again(server: WandbDouble, client: Client, home: Home) -> None:
    home.make("models/als")
    for operation in ("UpsertBucket", "CommitArtifact", "upload", "file_stream", "MirroredRun"):
        server.fail(operation, status=500, times=2)
    server.fail("CreateArtifact", status=429, times=2, retry_after_s=0.1)
    for operation in ("CreateArtifact", "CommitArtifact", "file_stream"):
        server.drop(operation, done=False)
        server.drop(operation, done=True)
    report = client.call(push, home)
    assert (len(report.sent), report.left) == (1, ())
    assert differences(home.graph, View(server, home)) == []
    (run,) = server.runs(home.project)
    assert (run.state, len(server.history(run.name))) == ("finished", 2)


def test_one_that_cannot_be_sent_holds_up_only_what_needs_it(server: WandbDouble, client: Client, home: Home) -> None:
    broken = home.make("models/als")
    home.make("reports/ranking", broken)
    home.make("models/popularity")
    server.fail("CommitArtifact", status=409, times=3)  # asks nothing of the server's health: only this artifact
    report = client.call(push, home)
    assert report.sent == (f"models/popularity@{DAY}",)
    reasons = dict(report.left)
    assert "409" in reasons[f"models/als@{DAY}"]
    assert reasons[f"reports/ranking@{DAY}"] == f"waits for models/als@{DAY}, which could not be sent"
    assert len(home.outbox.ready()) == 2
    assert client.call(push, home).left == ()
    assert differences(home.graph, View(server, home)) == []


def test_a_server_that_is_away_ends_the_push_at_once(server: WandbDouble, client: Client, home: Home) -> None:
    home.make_chain()
    server.fail("*", status=503, times=None)
    before = len(server.requests())
    report = client.call(push, home)
    assert report.sent == ()
    assert [name for name, _ in report.left] == [f"{key}@{DAY}" for key in CHAIN]
    assert "503" in report.left[0][1]
    assert len(server.requests(before)) < 10
    assert len(home.outbox.ready()) == 6


def refused(home: Home, key: str) -> str:
    os.environ["WANDB_API_KEY"] = key
    try:
        push(home)
    except KeyRefusedError as error:
        return str(error)
    return "was not refused"


def test_a_wrong_key_is_named_and_not_shown(server: WandbDouble, client: Client, home: Home) -> None:
    home.make("models/als")
    wrong = "f" * 40
    try:
        message = client.call(refused, home, wrong)
    finally:
        client.call(refused, Home(home.folder / "empty", "p"), server.key)
    assert "WANDB_API_KEY" in message
    assert wrong not in message


def test_a_second_mirror_says_who_is_at_work(home: Home, client: Client) -> None:
    home.make("models/als")
    with exclusive(home.outbox.folder / "mirror.lock", "push") as other:
        assert other == ""
        report = client.call(push, home)
    assert f"process {os.getpid()}" in report.at_work
    assert (report.sent, report.left) == ((), ())
    assert len(home.outbox.ready()) == 1
