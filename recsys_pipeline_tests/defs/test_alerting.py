"""A run that fails through the real definitions becomes one alert, with the step's own words."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs import alerting
from recsys_pipeline.defs.alerting import alert_log, alert_of, alert_on_failure
from recsys_pipeline.defs.resources import TrackerResource
from recsys_pipeline.settings import settings


@dg.op
def breaks() -> None:
    """Fails as an asset would: with an error of its own."""
    raise ValueError("reg must be above 0")


@dg.job
def fragile() -> None:
    """One op that fails."""
    breaks()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime root of its own."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(TrackerResource, "open", lambda _: Tracker(tmp_path / "wandb", "tests"))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def fail(monkeypatch: pytest.MonkeyPatch, webhook: str = "") -> None:
    """Run the job, and hand its failure to the sensor as Dagster would."""
    if webhook:
        monkeypatch.setenv("RECSYS_ALERT_WEBHOOK", webhook)
        settings.cache_clear()
    with dg.DagsterInstance.ephemeral() as instance:
        result = fragile.execute_in_process(
            instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-01-05"}
        )
        event = next(event for event in result.all_events if event.event_type == dg.DagsterEventType.RUN_FAILURE)
        context = dg.build_run_status_sensor_context(
            "alert_on_failure", event, instance, result.dagster_run, resources={"tracker": TrackerResource()}
        ).for_run_failure()
        alert_on_failure(context)


def test_it_watches_from_the_start() -> None:
    assert defs.resolve_sensor_def("alert_on_failure").default_status is dg.DefaultSensorStatus.RUNNING


def test_a_failure_is_written_with_the_step_s_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch)
    (alert,) = alert_log().read()
    assert alert.title == "fragile failed for 2026-01-05"
    assert alert.text == "step breaks: ValueError: reg must be above 0"
    assert (alert.job, alert.partition) == ("fragile", "2026-01-05")


def test_it_waits_in_the_outbox_for_w_and_b(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch)
    written = "".join(path.read_text() for path in (home / "wandb" / "outbox").rglob("*") if path.is_file())
    assert json.dumps("fragile failed for 2026-01-05") in written


def test_a_webhook_that_is_down_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail(monkeypatch, "http://127.0.0.1:1/secret-token")
    assert len(alert_log().read()) == 1
    assert "secret-token" not in caplog.text


def test_a_disk_that_is_full_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(alerting.AlertLog, "append", full)
    fail(monkeypatch)


def test_a_very_long_error_is_cut() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(fragile)
    assert len(alert_of(run, "x" * 10_000, datetime.now(UTC)).text) == alerting.MAX_TEXT
