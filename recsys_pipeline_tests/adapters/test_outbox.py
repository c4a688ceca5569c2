"""The outbox: appends and never fails a run; what was written is there for others whatever becomes of the writer."""

import dataclasses
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.adapters.wandb import outbox as outbox_module
from recsys_pipeline.adapters.wandb.outbox import CRASHED, FINISHED, Entry, Outbox, RunFacts, Stored
from recsys_pipeline_tests.adapters.mirror_fixtures import Home

FACTS = RunFacts(
    id="abc", name="models/als@2026-01-02", job_type="models", project="p", config={"reg": 0.1, "widths": [1, 2]},
    group="2026-01-02", tags=("tiny",), inputs=(Stored("tiny", "folds/x", "2026-01-02", "d" * 64),), sweep="s1",
)  # fmt: skip


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def events(entry: Entry) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name != "at"} for event in entry.events]


def test_an_entry_is_readable_while_it_grows_and_ready_when_it_ends(outbox: Outbox) -> None:
    entry = outbox.open(FACTS)
    entry.add({"metrics": {"loss": np.float32(0.5), "nan": float("nan")}})
    (growing,) = outbox.running()
    assert growing.state is None
    assert growing.events[0]["metrics"]["loss"] == 0.5
    assert outbox.ready() == []
    entry.add_picture("plot", b"png", "what it shows")
    entry.close(FINISHED)
    (ready,) = outbox.ready()
    assert outbox.running() == []
    assert ready.state == FINISHED
    assert events(ready)[1:] == [
        {"picture": {"name": "plot", "file": "1.png", "caption": "what it shows"}}, {"ended": FINISHED},
    ]  # fmt: skip
    assert ready.folder is not None
    assert (ready.folder / "1.png").read_bytes() == b"png"
    assert dataclasses.replace(ready.facts, process="", opened_at="") == FACTS, "every fact survives the file"


def test_another_attempt_gets_an_id_of_its_own(outbox: Outbox) -> None:
    first = outbox.open(FACTS)
    second = outbox.open(FACTS)
    first.close("failed")
    (ready,) = outbox.ready()
    outbox.acknowledge(ready, "server", "")
    third = outbox.open(FACTS)
    assert [first.facts.id, second.facts.id, third.facts.id] == ["abc", "abc-2", "abc-3"]


def test_what_is_acknowledged_is_known_and_gone(tmp_path: Path) -> None:
    home = Home(tmp_path, "p")
    made = home.make("models/als")
    (entry,) = home.outbox.ready()
    home.outbox.acknowledge(entry, "server a", "https://a/run")
    assert home.outbox.ready() == []
    assert home.outbox.acknowledged("server a") == {Stored.of(made)}
    assert home.outbox.acknowledged("server b") == set(), "another server has nothing"


def test_a_killed_process_leaves_its_run_as_crashed(outbox: Outbox) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from recsys_pipeline.adapters.wandb.outbox import Outbox, RunFacts\n"
        "entry = Outbox(Path(sys.argv[1])).open(RunFacts('abc', 'n', 'models', 'p', {}))\n"
        "entry.add({'metrics': {'loss': 1.0}})\n"
        "(Path(sys.argv[1]) / 'open' / 'abc' / 'events.jsonl').open('a').write('{\"metrics\": {\"lo')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(outbox.folder)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    outbox.take_in_crashed()
    (entry,) = outbox.ready()
    assert events(entry) == [{"metrics": {"loss": 1.0}}, {"ended": CRASHED}], "the half line is left out"
    assert outbox.running() == []


def test_a_living_process_keeps_its_run(outbox: Outbox) -> None:
    entry = outbox.open(FACTS)
    outbox.take_in_crashed()
    assert [running.facts.id for running in outbox.running()] == ["abc"]
    entry.close(FINISHED)


def test_a_full_disk_costs_one_warning_and_the_entry(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entry = outbox.open(FACTS)
    entry.add({"metrics": {"loss": 1.0}})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(outbox_module, "append_event", full)
    for _ in range(3):
        entry.add({"metrics": {"loss": 1.0}})
    entry.close(FINISHED)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "No space left" in caplog.text
    assert (outbox.running(), outbox.ready()) == ([], [])


def test_a_disk_that_is_full_from_the_start_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    entry = Outbox(tmp_path / "file").open(FACTS)  # below a file no folder can be made
    entry.add({"metrics": {"loss": 1.0}})
    entry.close(FINISHED)
    assert len(caplog.records) == 1


def test_what_is_no_json_is_left_out_and_the_rest_is_kept(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    entry = outbox.open(FACTS)
    entry.add({"metrics": {"bad": object()}})
    entry.add({"metrics": {"good": 1}})
    entry.close(FINISHED)
    assert "is no JSON" in caplog.text
    (ready,) = outbox.ready()
    assert events(ready) == [{"metrics": {"good": 1}}, {"ended": FINISHED}]


def test_threads_share_an_entry(outbox: Outbox) -> None:
    entry = outbox.open(FACTS)

    def log(thread: int) -> None:
        for step in range(50):
            entry.add({"metrics": {f"loss {thread}": step}})

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (growing,) = outbox.running()
    assert len(growing.events) == 200
    for number in range(4):
        own = [event["metrics"][f"loss {number}"] for event in growing.events if f"loss {number}" in event["metrics"]]
        assert own == list(range(50))


def test_what_cannot_be_read_is_put_away(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    outbox.open(FACTS).close(FINISHED)
    (outbox.ready_folder / "abc" / "run.json").write_text('{"id": ')
    outbox.open(dataclasses.replace(FACTS, id="other")).close(FINISHED)
    assert [entry.facts.id for entry in outbox.ready()] == ["other"]
    assert "cannot be read" in caplog.text
    assert len(list(outbox.broken_folder.iterdir())) == 1
    assert [entry.facts.id for entry in outbox.ready()] == ["other"]


def test_a_path_says_which_version_it_is(tmp_path: Path) -> None:
    artifact = Home(tmp_path, "p").make("models/als")
    stored = Stored.of(artifact)
    assert (stored.source, stored.key, stored.partition) == ("tiny", "models/als", "2026-01-02")
    assert stored.version == artifact.manifest.version
    assert json.loads((artifact.path / "manifest.json").read_text())["digest"] == stored.digest
