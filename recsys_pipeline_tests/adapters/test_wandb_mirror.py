"""The mirror on a double of W&B's server, through the unmodified client: complete, idempotent, resumable, in order."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline.adapters.locks import exclusive
from recsys_pipeline.adapters.outbox import CRASHED, FAILED, FINISHED, RunFacts
from recsys_pipeline.adapters.wandb_mirror import Report
from recsys_pipeline.adapters.wandb_server import KeyRefusedError
from recsys_pipeline_tests.adapters.mirror_fixtures import CHAIN, DAY, SOURCE, Home, push, wait_until
from recsys_pipeline_tests.mirrored import differences
from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client, without_wandb
from recsys_pipeline_tests.wandb_double.views import ArtifactRecord, Edge


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbDouble]:
    with WandbDouble(tmp_path_factory.mktemp("double")) as started:
        yield started
        assert started.unanswered() == []


@pytest.fixture(scope="module")
def client(server: WandbDouble) -> Iterator[Client]:
    """One process with the client for all tests: starting one takes seconds."""
    with Client(server.environment()) as started:
        yield started


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest, server: WandbDouble) -> Iterator[Home]:
    """A runtime root whose project in W&B is this test's alone."""
    yield Home(tmp_path, request.node.name.replace("[", "-").replace("]", "")[:60])
    server.heal()


class View:
    """What the server holds of one project."""

    def __init__(self, server: WandbDouble, home: Home) -> None:
        self.server = server
        self.home = home

    def artifacts(self) -> list[ArtifactRecord]:
        return self.server.artifacts(self.home.project)

    def edges(self) -> set[Edge]:
        runs = {run.name for run in self.server.runs(self.home.project)}
        return {edge for edge in self.server.edges() if edge.run in runs}


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


def test_what_is_gone_is_noted_so_that_edges_are_complete(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als", tracked=False)
    home.make("reports/ranking", model)
    shutil.rmtree(model.path)
    assert client.call(push, home).left == ()
    assert differences(home.graph, View(server, home)) == []
    (note,) = [one for one in server.artifacts(home.project) if one.type == "models"]
    assert "gone" in note.metadata["absent"]


def test_a_damaged_artifact_is_noted_not_uploaded(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als")
    (model.path / "data.txt").unlink()
    assert client.call(push, home).left == ()
    (note,) = server.artifacts(home.project)
    assert set(note.files) == {"absent.json"}
    assert "damaged" in note.metadata["absent"]


def test_runs_end_in_wandb_as_they_ended_here(server: WandbDouble, client: Client, home: Home) -> None:
    for state in (FINISHED, FAILED, CRASHED):
        entry = home.outbox.open(
            RunFacts(id=f"{home.project}-{state}", name=state, job_type="models", project=home.project, config={})
        )
        entry.add({"metrics": {"loss": 1.0}})
        entry.add({"alert": {"title": "Drift", "text": "price doubled"}})
        entry.close(state)
    client.call(push, home)
    runs = {run.display_name: run for run in server.runs(home.project)}
    assert {name: run.state for name, run in runs.items()} == {
        FINISHED: "finished",
        FAILED: "failed",
        CRASHED: "failed",
    }
    assert runs[CRASHED].tags == (CRASHED,)
    assert runs[FINISHED].alerts == (("Drift", "price doubled"),)


def test_a_run_that_logged_nothing_arrives(server: WandbDouble, client: Client, home: Home) -> None:
    home.outbox.open(
        RunFacts(id=home.project, name="empty", job_type="learning", project=home.project, config={})
    ).close(FINISHED)
    assert client.call(push, home).left == ()
    (run,) = server.runs(home.project)
    assert (run.state, server.history(run.name)) == ("finished", [])


def test_tables_and_pictures_arrive(server: WandbDouble, client: Client, home: Home) -> None:
    from recsys_pipeline.adapters.tracker import OutboxRun

    entry = home.outbox.open(facts(home, "tables"))
    run = OutboxRun(entry)
    run.log_table("trials", ["reg", "ndcg"], [[0.1, 0.5], [0.2, float("nan")]])
    run.log_picture("progress", PNG, "best so far")
    run.log({"best": 0.5})
    entry.close(FINISHED)
    assert client.call(push, home).left == ()
    (found,) = server.runs(home.project)
    assert [name for row in server.history(found.name) for name in row if name[0] != "_"] == [
        "trials", "progress", "best",
    ]  # fmt: skip
    assert {Path(name).suffix for name in found.files if name.startswith("media/")} == {".json", ".png"}


def test_aliases_belong_to_what_is_current_in_any_order(server: WandbDouble, client: Client, home: Home) -> None:
    """A backfill of an older day, and an older version of a day, take nothing from the newest."""
    newest = home.make("models/als", partition="2026-01-03")
    old = home.make("models/als", content="first", config={"reg": 1})
    current = home.make("models/als", content="second", config={"reg": 2})
    client.call(push, home)
    by_digest = {one.metadata["digest"]: one.aliases for one in server.artifacts(home.project)}
    assert {"latest", "2026-01-03"} <= by_digest[newest.manifest.digest]
    assert DAY not in by_digest[old.manifest.digest]
    assert DAY in by_digest[current.manifest.digest]
    assert "latest" not in by_digest[current.manifest.digest]


def test_a_second_mirror_says_who_is_at_work(home: Home, client: Client) -> None:
    home.make("models/als")
    with exclusive(home.outbox.folder / "mirror.lock", "push") as other:
        assert other == ""
        report = client.call(push, home)
    assert f"process {os.getpid()}" in report.at_work
    assert (report.sent, report.left) == ((), ())
    assert len(home.outbox.ready()) == 1


def test_large_files_go_by_reference(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als", tracked=False)
    assert client.call(push_by_reference, home).left == ()
    (found,) = server.artifacts(home.project)
    assert found.files["data.txt"] == (model.path / "data.txt").as_uri()
    assert not found.files["manifest.json"].startswith("file:")


def push_by_reference(home: Home) -> Report:
    from recsys_pipeline.adapters import wandb_artifacts

    limit, wandb_artifacts.COPY_LIMIT_BYTES = wandb_artifacts.COPY_LIMIT_BYTES, 3
    try:
        return push(home)
    finally:
        wandb_artifacts.COPY_LIMIT_BYTES = limit


def test_no_key_is_ever_written(server: WandbDouble, client: Client, home: Home) -> None:
    home.make("models/als")
    client.call(push, home)
    files = [path for folder in (home.folder, server.folder / "client") for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3, "something was written"
    assert [path for path in files if server.key.encode() in path.read_bytes()] == []


def facts(home: Home, name: str) -> RunFacts:
    """A run that made no artifact."""
    return RunFacts(id=f"{home.project}-{name}", name=name, job_type="learning", project=home.project, config={})


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e366"
    "0000000049454e44ae426082"
)
"""One pixel."""
