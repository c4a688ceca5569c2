"""Alerts: kept in a file whatever happens, posted where there is somebody to post to, and never in the way."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from recsys_pipeline.adapters.alerts import Alert, AlertLog, post

ALERT = Alert(
    "2026-01-05T03:20:00+00:00", "batch_daily failed for 2026-01-05", "step x: no", "batch_daily", "2026-01-05", "r1"
)


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted, and answers as it was told to."""

    taken: ClassVar[list[dict[str, str]]] = []
    answer = 200

    def do_POST(self) -> None:
        Hook.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(Hook.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hook() -> Iterator[str]:
    """The address of a webhook, with a secret in it."""
    Hook.taken, Hook.answer = [], 200
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret-token"
    server.shutdown()
    server.server_close()


def test_alerts_are_read_as_they_were_written(tmp_path: Path) -> None:
    log = AlertLog(tmp_path / "alerts" / "alerts.jsonl")
    assert log.read() == []
    log.append(ALERT)
    log.append(ALERT)
    assert log.read() == [ALERT, ALERT]


def test_a_line_that_a_crash_cut_off_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AlertLog(tmp_path / "alerts.jsonl")
    log.append(ALERT)
    with log.path.open("a") as stream:
        stream.write('{"at": "2026-01\n')
    log.append(ALERT)
    assert log.read() == [ALERT, ALERT]
    assert "line 2" in caplog.text


def test_a_webhook_gets_text_for_people_and_fields_for_programs(hook: str) -> None:
    assert post(hook, ALERT) == ""
    (taken,) = Hook.taken
    assert taken["text"] == "batch_daily failed for 2026-01-05\nstep x: no"
    assert (taken["job"], taken["partition"], taken["run_id"]) == ("batch_daily", "2026-01-05", "r1")


def test_a_webhook_that_refuses_is_told_of_without_its_address(hook: str) -> None:
    Hook.answer = 403
    assert post(hook, ALERT) == "the webhook answered 403"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret-token", "no address at all", "ftp://secret-token"])
def test_a_webhook_that_is_not_there_is_told_of_without_its_address(url: str) -> None:
    reason = post(url, ALERT)
    assert reason.startswith("the webhook cannot be reached")
    assert "secret" not in reason
