"""A run that fails through the real definitions becomes one alert, with the step's own words."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.adapters.wandb.tracker import Tracker
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
        tell(instance, result.run_id)


def tell(instance: dg.DagsterInstance, run_id: str) -> None:
    """Hand the failure of a run to the sensor."""
    run = instance.get_run_by_id(run_id)
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
    assert run is not None
    assert events[0] is not None
    context = dg.build_run_status_sensor_context(
        "alert_on_failure", events[0], instance, run, resources={"tracker": TrackerResource()}
    ).for_run_failure()
    alert_on_failure(context)


def test_it_watches_from_the_start() -> None:
    assert defs.resolve_sensor_def("alert_on_failure").default_status is dg.DefaultSensorStatus.RUNNING


def test_a_failure_is_written_with_the_step_s_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch)
    (alert,) = alert_log().read()
    assert alert.title == "fragile failed for 2026-01-05"
    assert alert.text == "breaks: ValueError: reg must be above 0"
    assert (alert.job, alert.partition) == ("fragile", "2026-01-05")


def test_a_run_that_died_outside_its_steps_is_told_by_what_ended_it() -> None:
    """As after a SIGKILL: Dagster's own reason is only that somebody else marked the run as failed."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(fragile, tags={"dagster/partition": "2026-01-05"})
        instance.report_engine_event("Started process for run (pid: 7).", run)
        instance.report_engine_event("Run execution process was terminated by signal 9 (SIGKILL).", run)
        instance.report_run_failed(run)
        instance.report_engine_event("Retrying the run", run)
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
        tell(instance, run.run_id)
    (alert,) = alert_log().read()
    assert "terminated by signal 9" in alert.text
    assert "pid" not in alert.text, "the event before the end, and no other"
    assert alert.text.endswith("(Dagster runs it once more)")


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
