"""Failed runs of a job's backfill are run once more, and an alert promises a second try only where there is one."""

import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.errors import DataError, SettingError, SourceError
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.alerting import alert_log, alert_on_failure
from recsys_pipeline.defs.failures import step_failures
from recsys_pipeline.defs.instance import PARTITION
from recsys_pipeline.defs.resources import TrackerResource
from recsys_pipeline.defs.retries import BACKFILL, SENSOR, WILL_RETRY, retry_of_backfills, second_try
from recsys_pipeline.settings import settings

DAY = "2026-01-05"
PROMISE = "(Dagster runs it once more)"
RAISED: dict[str, Exception | None] = {}


class Form(dg.Config):
    """A Launchpad field that the second try must keep."""

    reg: float = 0.1


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
def shop(config: Form) -> None:
    """Fails as it is told to."""
    assert config.reg == 0.5
    if (error := RAISED.get("error")) is not None:
        raise error


DAILY = dg.define_asset_job("daily", [shop])
JOB = dg.Definitions([shop], jobs=[DAILY], executor=dg.in_process_executor).resolve_job_def("daily")
CONFIG = {"ops": {"shop": {"config": {"reg": 0.5}}}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RETRY = retry_of_backfills([DAILY])


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime root of its own."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    monkeypatch.setattr(TrackerResource, "open", lambda _: Tracker(tmp_path / "wandb", "tests", enabled=False))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One that retries failed runs once, as `dagster.yaml` says."""
    home = tmp_path_factory.mktemp("dagster")
    text = "telemetry: {enabled: false}\nrun_retries: {enabled: true, max_retries: 1}\n"
    (home / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


def failed(
    instance: dg.DagsterInstance,
    error: Exception | None = None,
    status: str | None = "COMPLETED",
    of_assets: bool = False,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> dg.DagsterRun:
    """A failed run of a backfill in this state, or of none; without an error it was killed."""
    if status is not None:
        name, state = uuid.uuid4().hex, BulkActionStatus(status)
        data = "{}" if of_assets else None
        backfill = PartitionBackfill(name, state, False, {}, time.time(), serialized_asset_backfill_data=data)
        instance.add_backfill(backfill)
        tags = {BACKFILL: name, **tags}
    tags = {PARTITION: DAY, "team": "shop", **tags}
    if error is not None:
        RAISED["error"] = error
        result = JOB.execute_in_process(CONFIG, instance, DAY, raise_on_error=False, tags=tags)
        return run_of(instance, result.run_id)
    run = instance.create_run_for_job(JOB, run_config=CONFIG, tags=tags)
    instance.report_run_failed(run)
    return run_of(instance, run.run_id)


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found


def heard(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, run: dg.DagsterRun) -> object:
    """What a sensor makes of the failure."""
    (entry,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert entry.dagster_event is not None
    tracker = {"tracker": TrackerResource()} if sensor is alert_on_failure else {}
    context = dg.build_run_status_sensor_context(
        str(sensor.name), entry.dagster_event, instance, run_of(instance, run.run_id), resources=tracker
    )
    return sensor(context.for_run_failure())


def is_promised(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the alert says that the run is started again."""
    heard(alert_on_failure, instance, run)
    return alert_log().read()[-1].text.endswith(PROMISE)


def test_it_watches_every_job_with_partitions_from_the_start() -> None:
    sensor = defs.resolve_sensor_def(SENSOR)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert {target.job_name for target in sensor.targets} == {"batch_daily", "sweep_weekly", "speed_hourly"}


@pytest.mark.parametrize("alert_first", [True, False])
@pytest.mark.parametrize("status", ["COMPLETED", "COMPLETED_FAILED", "REQUESTED"])
def test_a_run_of_a_backfill_is_tried_once_more_and_no_third_time(
    instance: dg.DagsterInstance, status: str, alert_first: bool
) -> None:
    first = failed(instance, status=status)
    assert first.tags[WILL_RETRY] == "true", "what Dagster says of it"
    assert not alert_first or is_promised(instance, first)
    request = heard(RETRY, instance, first)
    assert isinstance(request, dg.RunRequest)
    assert is_promised(instance, first)
    assert run_of(instance, first.run_id).tags[WILL_RETRY] == "false", "Dagster must not start it as well"
    assert heard(RETRY, instance, first) is None
    assert (request.partition_key, request.run_config) == (DAY, first.run_config)
    assert request.tags["team"] == "shop"
    second = failed(instance, status=None, tags=request.tags)
    assert heard(RETRY, instance, second) is None
    assert not is_promised(instance, second)


def test_a_second_try_is_a_run_like_the_first(instance: dg.DagsterInstance) -> None:
    request = second_try(failed(instance))
    RAISED["error"] = None
    assert JOB.execute_in_process(request.run_config, instance, request.partition_key, tags=request.tags).success


@pytest.mark.parametrize("error", [DataError("9% of the rows are bad"), dg.Failure("not promoted")])
def test_what_would_come_out_again_is_neither_tried_nor_promised(
    instance: dg.DagsterInstance, error: Exception
) -> None:
    run = failed(instance, error)
    assert not is_promised(instance, run)
    assert heard(RETRY, instance, run) is None
    assert run_of(instance, run.run_id).tags[WILL_RETRY] == "false"


@pytest.mark.parametrize("status", ["CANCELED", "CANCELING", "FAILED"])
def test_a_backfill_that_was_given_up_stays_so(instance: dg.DagsterInstance, status: str) -> None:
    run = failed(instance, status=status)
    assert heard(RETRY, instance, run) is None
    if status != "CANCELING":
        assert not is_promised(instance, run)


def test_what_had_a_bad_moment_is_tried_again(instance: dg.DagsterInstance) -> None:
    assert isinstance(heard(RETRY, instance, failed(instance, SourceError("the share does not answer"))), dg.RunRequest)


def test_a_run_of_no_backfill_is_left_to_dagster(instance: dg.DagsterInstance) -> None:
    run = failed(instance, status=None)
    assert heard(RETRY, instance, run) is None
    assert is_promised(instance, run)


@pytest.mark.parametrize(("status", "promised"), [("REQUESTED", True), ("COMPLETED_FAILED", False)])
def test_a_backfill_of_assets_is_left_to_dagster_too(instance: dg.DagsterInstance, status: str, promised: bool) -> None:
    run = failed(instance, status=status, of_assets=True)
    assert heard(RETRY, instance, run) is None
    assert is_promised(instance, run) is promised


def test_nothing_is_promised_of_a_sensor_that_is_off(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failed(instance)
    off = type("State", (), {"instigator_name": SENSOR, "is_running": False})
    monkeypatch.setattr(type(instance), "all_instigator_state", lambda _: [off])
    assert not is_promised(instance, run)


def test_a_failure_names_the_class_of_what_was_raised(instance: dg.DagsterInstance) -> None:
    for error in (SettingError("x"), KeyError("x"), OSError(28, "No space left on device")):
        run = failed(instance, error, status=None)
        entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        (failure,) = step_failures(entry.dagster_event for entry in entries if entry.dagster_event)
        assert failure.error == type(error).__name__
