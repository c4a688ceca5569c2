"""W&B as a view: whatever it does, the run goes on; offline by default; no secret is ever written."""

import builtins
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.errors import CommError

from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.tracker import COPY_LIMIT_BYTES, SilentRun, Tracker, _to_wandb_artifact
from recsys_pipeline.core.types import ArtifactRef

WANDB = Path(sys.executable).with_name("wandb")
KEY = "0123456789abcdef" * 2 + "deadbeef"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, nothing set, and files of this test's own."""
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """A small artifact with an input."""

    def build(directory: Path) -> Built:
        (directory / "weights.txt").write_text("1 2 3")
        return Built({"ndcg@10": 0.25})

    recipe = Recipe("models/als", "2026-01-02", (ArtifactRef("folds/x", "2026-01-02", "d" * 64),), {}, "v1", {})
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache").build(recipe, build)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server to which W&B is pointed; gives the list of what it was asked."""
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        do_GET = do_PUT = do_POST  # noqa: N815 (the names that http.server calls)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    stub = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=stub.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{stub.server_port}")
    yield asked
    stub.shutdown()
    stub.server_close()


def track(tracker: Tracker, artifact: Artifact) -> str:
    """A run as an asset does it; its result must come through, whatever W&B does."""
    with tracker.run("models/als@2026-01-02", "models", {"reg": 0.1}, group="2026-01-02") as run:
        run.log({"loss": 2.0})
        run.log({"loss": 1.0, "rows": 3})
        run.log_artifact(artifact)
        run.alert("Drift", "price: median 45 → 135")
        return "fitted"


def records(tracker: Tracker) -> list[Path]:
    return sorted(tracker.directory.rglob("*.wandb"))


def test_offline_runs_can_be_read(tmp_path: Path, artifact: Artifact, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(tmp_path / "wandb", "project")
    assert track(tracker, artifact) == "fitted"
    (record,) = records(tracker)
    assert record.parent.name.startswith("offline-run-")
    read = subprocess.run(
        [WANDB, "leet", "inspect", "--summary", "--json", str(record)], capture_output=True, timeout=60, check=True
    )
    shown = json.loads(read.stdout)
    assert shown["name"] == "models/als@2026-01-02"
    assert shown["state"] == "finished"
    assert (shown["summary"]["loss"], shown["summary"]["rows"]) == (1.0, 3)
    assert shown["config"]["reg"] == 0.1
    assert b"models-als" in record.read_bytes()
    assert [message for message in caplog.records if message.levelno >= logging.WARNING] == []


def test_without_a_key_nothing_is_sent_anywhere(tmp_path: Path, server: list[str]) -> None:
    """In a process of its own, because W&B reads its switches once; its telemetry is sent as the process ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    script = (
        "import sys; from pathlib import Path; from recsys_pipeline.adapters.tracker import Tracker\n"
        "with Tracker(Path(sys.argv[1]), 'project').run('x', 'models', {}) as run: run.log({'loss': 1.0})"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "wandb")],
        env={**environment, "WANDB_BASE_URL": os.environ["WANDB_BASE_URL"]}, timeout=60, check=True,
    )  # fmt: skip
    assert len(list((tmp_path / "wandb").rglob("*.wandb"))) == 1, "it did track"
    assert server == []


def test_an_artifact_has_its_stage_as_type_and_its_inputs_as_metadata(artifact: Artifact) -> None:
    entry = _to_wandb_artifact(artifact)
    assert (entry.type, entry.name) == ("models", "models-als")
    assert entry.metadata["inputs"] == [{"key": "folds/x", "partition": "2026-01-02", "digest": "d" * 64}]
    assert entry.metadata["digest"] == artifact.manifest.digest
    assert entry.metadata["ndcg@10"] == 0.25
    assert set(entry.manifest.entries) == {"weights.txt", "manifest.json"}


def test_a_large_artifact_goes_by_reference(artifact: Artifact) -> None:
    artifact.manifest.files["weights.txt"]["bytes"] = COPY_LIMIT_BYTES + 1
    entry = _to_wandb_artifact(artifact)
    assert "manifest.json" in entry.manifest.entries
    assert any(found.ref and found.ref.startswith("file://") for found in entry.manifest.entries.values())


@pytest.mark.parametrize("mode", ["offline", "online", None])
def test_no_key_means_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None) -> None:
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    asked: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "init", lambda **settings: asked.update(settings))
    with Tracker(tmp_path / "wandb", "project").run("x", "models", {}):
        pass
    assert asked["mode"] == "offline"


def test_a_key_means_online_unless_the_mode_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    modes = []
    monkeypatch.setattr(wandb, "init", lambda **settings: modes.append(settings["mode"]))
    for mode in ("online", "offline"):
        monkeypatch.setenv("WANDB_MODE", mode)
        with Tracker(tmp_path / "wandb", "project").run("x", "models", {}):
            pass
    assert modes == ["online", "offline"]


@pytest.mark.parametrize("enabled", [True, False])
def test_switched_off_it_makes_no_files(
    tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    if enabled:
        monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Tracker(tmp_path / "wandb", "project", enabled)
    with tracker.run("x", "models", {}) as run:
        assert isinstance(run, SilentRun)
    assert track(tracker, artifact) == "fitted"
    assert not tracker.directory.exists()


def test_without_the_package_runs_go_on_after_one_warning(
    tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real_import = builtins.__import__

    def without_wandb(name: str, *arguments: Any, **more: Any) -> Any:
        if name.split(".")[0] == "wandb":
            raise ModuleNotFoundError("No module named 'wandb'")
        return real_import(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_wandb)
    tracker = Tracker(tmp_path / "wandb", "project")
    for _ in range(3):
        assert track(tracker, artifact) == "fitted"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "W&B did not start" in caplog.text
    assert "No module named 'wandb'" in caplog.text


def test_an_alert_is_in_the_record_of_an_offline_run(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "wandb", "project")
    with tracker.run("reports/drift@2026-01-02", "reports", {}) as run:
        run.alert("Drift on 2026-01-02", "price: median 45 → 135")
    (record,) = records(tracker)
    told, deadline = "price: median 45 → 135".encode(), time.monotonic() + 20
    while (
        told not in record.read_bytes() and time.monotonic() < deadline
    ):  # W&B's own process writes, when it comes to it
        time.sleep(0.2)
    assert told in record.read_bytes()


def _raise(*_: Any, **__: Any) -> Any:
    raise CommError("server says no")


def _broken_init(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "init", _raise)


def _broken_method(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(wandb.Run, name, _raise)


@pytest.mark.parametrize(
    "break_it",
    [
        _broken_init,
        _broken_method("log"),
        _broken_method("log_artifact"),
        _broken_method("alert"),
        _broken_method("finish"),
    ],
    ids=["init", "log", "log_artifact", "alert", "finish"],
)
def test_a_broken_client_costs_one_warning(
    tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    break_it: Callable[[pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    break_it(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert track(Tracker(tmp_path / "wandb", "project"), artifact) == "fitted"
    assert len(caplog.records) == 1
    assert "CommError: server says no" in caplog.text


def test_a_client_that_does_not_start_is_asked_once(
    tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each attempt to reach a server that is away takes a minute and a half; a batch has twenty assets."""
    calls = []

    def count(**_: Any) -> None:
        calls.append(1)
        _raise()

    monkeypatch.setattr(wandb, "init", count)
    tracker = Tracker(tmp_path / "wandb", "project")
    for _ in range(3):
        track(tracker, artifact)
    assert (len(calls), len(caplog.records)) == (1, 1)


def test_an_error_of_the_body_is_not_hidden(tmp_path: Path) -> None:
    def fail() -> None:
        with Tracker(tmp_path / "wandb", "project").run("x", "models", {}):
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        fail()


def test_a_key_is_never_written(tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = Tracker(tmp_path / "wandb", "project")
    assert track(tracker, artifact) == "fitted"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(records(tracker)) == 1, "it did write"
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
