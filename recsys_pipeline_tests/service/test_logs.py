"""What was served and what was accepted is on the disk: each once, whatever is killed or full."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from recsys_pipeline.adapters.serving import lines
from recsys_pipeline.adapters.serving.event_log import EventLog, recent_events
from recsys_pipeline.adapters.serving.served_log import ServedLog, find_served, served_rows
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.commands.replay import made_again
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline_tests.release_fixtures import END_US, USER_IDS
from recsys_pipeline_tests.service.running import running, until

HOUR_US = 3_600_000_000


def row(number: int, at_us: int = END_US) -> dict[str, Any]:
    request = {"request_id": f"r-{number}", "at_us": at_us, "where": [], "history": [], "user_id": "u"}
    return {"request_id": f"r-{number}", "user_id": "u", "at": at_us, "policy": "p", "release_day": "d", "release": "x",
            "overlay_hour": "", "overlay": "", "request": json.dumps(request), "why": "release", "skipped": [],
            "places": []}  # fmt: skip


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"event_id": f"e-{number}", "user_id": "u", "item_id": "i", "event": "click", "value": 1.0,
            "timestamp": "2026-01-06T05:00:00+00:00", **more}  # fmt: skip


def test_every_list_can_be_made_again_byte_for_byte(home: Path) -> None:
    (home / "policies").mkdir()
    (home / "policies" / "wild.yaml").write_text(
        "seed: 3\nsources: [index, popular]\nfilters: [taken]\nscorers: [model]\n"
        "orderers: [{mmr: {relevance: 0.5}}, {explore: {share: 0.5}}]\n"
    )
    with running(home) as service:
        for number in range(40):
            body = {"user_id": USER_IDS[number % 9], "policy": ("default", "wild")[number % 2],
                    "history": ["item-1", "item-9"][: number % 3]}  # fmt: skip
            assert service.client.post("/v1/recommendations", json=body).status_code == 200
        until(lambda: len(list(served_rows(service.served))) == 40, 3.0)
        store = service.store
    found = list(served_rows(home / "served"))
    assert len(found) == 40
    assert not list((home / "served").glob("*/*/*.jsonl")), "who ends in order leaves lasting files"
    for one in found:
        assert json.dumps(made_again(store, one), sort_keys=True) == json.dumps(one, sort_keys=True)


def test_what_a_list_was_made_of_and_is_gone_is_named(home: Path) -> None:
    with running(home) as service:
        service.client.get("/v1/users/u/recommendations")
    (one,) = served_rows(home / "served")
    assert find_served(home / "served", one["request_id"]) == one
    with pytest.raises(ArtifactError, match="holds no list of the request 'nobodys'"):
        find_served(home / "served", "nobodys")
    store = ArtifactStore(str(home / "store"), home / "cache")
    with pytest.raises(ArtifactError, match=r"serving/release@2026-01-05 000000000000 is gone"):
        made_again(store, {**one, "release": "0" * 64})


def test_hours_that_are_over_become_lasting_files(tmp_path: Path) -> None:
    log = ServedLog(tmp_path)
    log.append(row(1))
    log.append(row(2, END_US + HOUR_US))
    until(lambda: len(list(tmp_path.glob("*/*/*.parquet"))) == 1)
    assert {one["request_id"] for one in served_rows(tmp_path)} == {"r-1", "r-2"}
    log.close()
    assert sorted(path.parent.name for path in tmp_path.glob("*/*/*.parquet")) == ["00", "01"]
    assert {one["request_id"] for one in served_rows(tmp_path)} == {"r-1", "r-2"}


def test_a_full_disk_keeps_lists_waiting_and_writes_each_once(tmp_path: Path) -> None:
    log = ServedLog(tmp_path)
    real, fail = os.write, {"times": 3}

    def full(descriptor: int, content: Any) -> int:
        if fail["times"] and len(content) > 20:
            fail["times"] -= 1
            real(descriptor, bytes(content)[:10])
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    with patch.object(lines.os, "write", full):
        for number in range(5):
            log.append(row(number))
        until(lambda: fail["times"] < 3)
        until(lambda: "No space left" in log.failed)
        until(lambda: log.behind == 0)
    log.close()
    assert sorted(one["request_id"] for one in served_rows(tmp_path)) == [f"r-{n}" for n in range(5)]


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    log = ServedLog(tmp_path)
    log.append(row(1))
    until(lambda: log.behind == 0)
    (file,) = tmp_path.glob("*/*/*.jsonl")
    with file.open("ab") as stream:
        stream.write(b'{"request_id": "r-2", "us')
    log.close()
    assert [one["request_id"] for one in served_rows(tmp_path)] == ["r-1"]


KILLED = """
import sys, time
from pathlib import Path
from recsys_pipeline.adapters.serving.served_log import ServedLog
from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline_tests.service.test_logs import row, event
log, events = ServedLog(Path(sys.argv[1]) / "served"), EventLog(Path(sys.argv[1]) / "events")
for number in range(20):
    log.append(row(number))
events.accept([event(number) for number in range(7)])
while log.behind:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def test_a_kill_loses_nothing_that_was_written_and_doubles_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    events, log = EventLog(tmp_path / "events"), ServedLog(tmp_path / "served")
    assert not list((tmp_path / "served").glob("*/*/*.jsonl")), "whoever comes next puts them into their lasting form"
    log.close()
    assert sorted(one["request_id"] for one in served_rows(tmp_path / "served")) == sorted(f"r-{n}" for n in range(20))
    assert events.accept([event(number) for number in range(9)]) == 2, "seven are known"
    assert sorted(one["event_id"] for one in recent_events(tmp_path / "events")) == [f"e-{n}" for n in range(9)]


def test_events_are_on_the_disk_when_they_are_accepted(home: Path) -> None:
    with running(home) as service:
        body = {"events": [{"event_id": "e-1", "user_id": "u", "item_id": "i", "event": "click", "position": 3},
                           {"event_id": "e-2", "user_id": "u", "item_id": "j", "event": "purchase", "value": 9.5,
                            "timestamp": "2026-01-06T01:30:00+02:00", "request_id": "r-1"}]}  # fmt: skip
        assert service.client.post("/v1/events", json=body).json() == {"accepted": 2, "known": 0}
        found = {one["event_id"]: one for one in recent_events(service.events)}
        assert found["e-2"]["timestamp"] == "2026-01-05T23:30:00+00:00"
        assert found["e-1"]["position"] == 3
        (late,) = (service.events / "2026-01-05").glob("23-*.jsonl")
        assert len(lines.whole_lines(late)) == 1
        assert service.client.post("/v1/events", json=body).json() == {"accepted": 0, "known": 2}


def test_events_that_cannot_be_written_are_not_accepted(home: Path) -> None:
    with running(home) as service:
        body = {"events": [{"event_id": "e-1", "user_id": "u", "item_id": "i", "event": "click"}]}
        with patch.object(lines.os, "fsync", side_effect=OSError(28, "No space left on device")):
            refused = service.client.post("/v1/events", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert recent_events(service.events) == []
        assert service.client.post("/v1/events", json=body).json() == {"accepted": 1, "known": 0}
        for wrong in ({"event_id": ""}, {"value": float("inf")}, {"timestamp": "2026-01-06T01:30:00"}):
            sent = json.dumps({"events": [{**body["events"][0], **wrong}]})
            assert service.client.post("/v1/events", content=sent).status_code == 422
