"""W&B as a view: a run appends to the outbox and goes on, whatever the process that talks to W&B meets."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.wandb.outbox import FAILED, FINISHED
from recsys_pipeline.adapters.wandb.server import is_online
from recsys_pipeline.adapters.wandb.tracker import SilentRun, TrackedRun, Tracker
from recsys_pipeline_tests.adapters.mirror_fixtures import DAY, SOURCE, Home, wait_until
from recsys_pipeline_tests.mirrored import differences
from recsys_pipeline_tests.wandb_double import WandbDouble

WANDB = Path(sys.executable).with_name("wandb")
KEY = "0123456789abcdef" * 2 + "deadbeef"
AGE_S = 40.0


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, nothing set, and files of this test's own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "p")


@pytest.fixture
def tracker(home: Home) -> Iterator[Tracker]:
    tracker = Tracker(home.folder / "wandb", home.project, stores=home.stores)
    yield tracker
    tracker.close(wait_s=20.0)


@pytest.fixture
def artifact(home: Home) -> Artifact:
    return home.make("models/als", tracked=False)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, wandb_double: WandbDouble) -> WandbDouble:
    """A server, and the environment that leads to it."""
    for name, value in wandb_double.environment().items():
        monkeypatch.setenv(name, value)
    return wandb_double


def track(tracker: Tracker, artifact: Artifact) -> str:
    """A run as an asset does it; its result must come through, whatever W&B does."""
    with tracker.asset_run(SOURCE, artifact.manifest.recipe, artifact.manifest.run_id) as run:
        run.log({"loss": 2.0})
        run.log({"loss": 1.0, "rows": 3})
        run.log_artifact(artifact)
        run.alert("Drift", "price: median 45 → 135")
    return "fitted"


def test_an_offline_training_can_be_watched_and_waits_in_the_outbox(
    tracker: Tracker, home: Home, artifact: Artifact
) -> None:
    assert track(tracker, artifact) == "fitted"
    with tracker.run("reports/ranking@x", "reports", {}) as run:
        run.log({"ndcg": 0.5})
    tracker.close(wait_s=AGE_S)
    (record,) = (home.folder / "wandb" / "wandb").rglob("*.wandb")
    assert record.parent.name.startswith("offline-run-"), "of trainings only, because they have curves"
    read = subprocess.run(
        [WANDB, "leet", "inspect", "--summary", "--json", str(record)], capture_output=True, timeout=60, check=True
    )
    shown = json.loads(read.stdout)
    assert (shown["name"], shown["state"]) == (f"models/als@{DAY}", "finished")
    assert (shown["summary"]["loss"], shown["summary"]["rows"]) == (1.0, 3)
    assert shown["config"]["partition"] == DAY
    assert "price: median 45 → 135".encode() in record.read_bytes()
    assert [entry.facts.name for entry in home.outbox.ready()] == [f"models/als@{DAY}", "reports/ranking@x"]
    assert tracker.links(artifact) == {}


def test_without_a_key_nothing_is_sent_anywhere(
    tracker: Tracker, home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        do_GET = do_PUT = do_POST  # noqa: N815 (the names that http.server calls)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as stub:
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{stub.server_port}")
        track(tracker, artifact)
        tracker.close(wait_s=AGE_S)
        stub.shutdown()
    assert len(list((home.folder / "wandb" / "wandb").rglob("*.wandb"))) == 1, "it did track"
    assert asked == []


def test_online_a_run_is_there_while_it_goes_on(
    tracker: Tracker, home: Home, artifact: Artifact, online: WandbDouble
) -> None:
    recipe = artifact.manifest.recipe
    with tracker.asset_run(SOURCE, recipe, artifact.manifest.run_id) as run:
        run.log({"loss": 2.0})
        wait_until(lambda: any(online.history(found.name) for found in online.runs()))
        (found,) = online.runs()
        assert (found.state, found.job_type, found.group) == ("running", "models", DAY)
        run.log_artifact(artifact)
    links = tracker.links(artifact)
    tracker.close(wait_s=AGE_S)
    (found,) = online.runs()
    assert found.state == "finished"
    assert differences(home.graph, online) == []
    assert home.outbox.ready() == []
    assert links["W&B run"] == f"{online.url}/tester/p/runs/{found.name}"
    (made,) = online.artifacts()
    *_, kind, name, alias = links["W&B artifact"].split("/")
    assert (kind, name) == (made.type, made.name)
    assert alias in made.aliases


def test_a_server_that_is_down_for_the_first_half_of_a_run_has_all_of_it_in_the_end(
    tracker: Tracker, home: Home, artifact: Artifact, online: WandbDouble
) -> None:
    online.fail("*", status=503, times=None)
    with tracker.asset_run(SOURCE, artifact.manifest.recipe, artifact.manifest.run_id) as run:
        run.log({"loss": 2.0})
        wait_until(lambda: online.requests())
        online.heal()
        run.log({"loss": 1.0})
        wait_until(lambda: any(len(online.history(found.name)) == 2 for found in online.runs()))
        run.log_artifact(artifact)
    tracker.close(wait_s=AGE_S)
    assert differences(home.graph, online) == []
    (found,) = online.runs()
    assert [row["loss"] for row in online.history(found.name)] == [2.0, 1.0]
    assert home.outbox.ready() == []


def test_a_server_that_nobody_runs_costs_a_run_nothing(
    tracker: Tracker, home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    assert track(tracker, artifact) == "fitted"
    assert time.monotonic() - started < 2
    tracker.close(wait_s=AGE_S)
    assert time.monotonic() - started < 15, "nor does its end take long"
    assert len(home.outbox.ready()) == 1


@pytest.mark.parametrize("broken", ["raise ImportError('no wandb here')", "import os; os._exit(3)"])
def test_a_client_that_does_not_start_fails_in_its_own_process(
    tracker: Tracker, home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (home.folder / "wandb.py").write_text(broken)
    monkeypatch.setenv("PYTHONPATH", str(home.folder))
    assert track(tracker, artifact) == "fitted"
    assert track(tracker, artifact) == "fitted"
    tracker.close(wait_s=AGE_S)
    assert [entry.state for entry in home.outbox.ready()] == [FINISHED, FINISHED]


def test_a_process_that_cannot_be_started_is_one_warning(
    tracker: Tracker, home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert track(tracker, artifact) == "fitted"
    assert "recsys wandb push" in caplog.text
    assert len(home.outbox.ready()) == 1


@pytest.mark.parametrize(
    ("key", "mode", "expected"),
    [("", None, False), ("", "online", False), (KEY, None, True), (KEY, "online", True), (KEY, "offline", False)],
)
def test_online_means_a_key_and_no_objection(
    monkeypatch: pytest.MonkeyPatch, key: str, mode: str | None, expected: bool
) -> None:
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    assert is_online() is expected


@pytest.mark.parametrize("enabled", [True, False])
def test_switched_off_it_makes_no_files(
    home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    if enabled:
        monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Tracker(home.folder / "wandb", "p", enabled)
    with tracker.run("x", "models", {}) as run:
        assert isinstance(run, SilentRun)
    assert track(tracker, artifact) == "fitted"
    assert not tracker.directory.exists()


def test_an_error_of_the_body_is_not_hidden_and_fails_the_run(tracker: Tracker, home: Home) -> None:
    def fail() -> None:
        with tracker.run("x", "reports", {}):
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        fail()
    assert [entry.state for entry in home.outbox.ready()] == [FAILED]


def test_a_trial_says_what_it_is(tracker: Tracker, home: Home, artifact: Artifact) -> None:
    with tracker.run("t-1", "reports", {"reg": 0.1}, "g", inputs=[artifact], run_id="r1", sweep="s1") as run:
        assert isinstance(run, TrackedRun)
    (entry,) = home.outbox.ready()
    assert (entry.facts.id, entry.facts.sweep, entry.facts.group) == ("r1", "s1", "g")
    assert entry.facts.inputs[0].ref == artifact.manifest.ref


def test_a_key_is_never_written(
    tracker: Tracker, home: Home, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert track(tracker, artifact) == "fitted"
    tracker.close(wait_s=AGE_S)
    files = [path for path in home.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files), "it did write"
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
