"""The status screen: the newest run of each job and partition decides what is open."""

import doctest
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pytest

from recsys_pipeline.commands import status
from recsys_pipeline.commands.status import _alerts, _run
from recsys_pipeline.defs import run_records
from recsys_pipeline.defs.instance import PARTITION
from recsys_pipeline.defs.run_records import JobRun, last_runs, open_failures


def record(job: str, partition: str, state: dg.DagsterRunStatus, end_time: float | None = 60.0) -> SimpleNamespace:
    """What Dagster's instance says of a run."""
    run = dg.DagsterRun(job_name=job, tags={PARTITION: partition}, status=state)
    return SimpleNamespace(dagster_run=run, start_time=50.0, end_time=end_time)


def add_run(instance: dg.DagsterInstance, job: str, partition: str, state: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name=job, tags={PARTITION: partition} if partition else {}, status=state))


FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def test_a_failure_is_open_until_its_partition_succeeds(instance: dg.DagsterInstance) -> None:
    for partition, state in (("2026-01-05", FAILURE), ("2026-01-05", SUCCESS), ("2026-01-06", FAILURE)):
        add_run(instance, "batch_daily", partition, state)
    add_run(instance, "release_by_hand", "", FAILURE)
    found = [(run.job, run.partition) for run in open_failures(instance)]
    assert found == [("release_by_hand", ""), ("batch_daily", "2026-01-06")]


def test_another_job_s_success_closes_nothing(instance: dg.DagsterInstance) -> None:
    add_run(instance, "batch_daily", "2026-01-05", FAILURE)
    add_run(instance, "speed_hourly", "2026-01-05", SUCCESS)
    assert [run.job for run in open_failures(instance)] == ["batch_daily"]


def test_a_failure_stays_open_however_many_runs_came_after_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_records, "RUNS_LOOKED_AT", 3)
    add_run(instance, "batch_daily", "2026-01-05", FAILURE)
    for hour in range(5):
        add_run(instance, "speed_hourly", f"2026-01-06-0{hour}:00", SUCCESS)
    assert [run.partition for run in open_failures(instance)] == ["2026-01-05"]


def test_many_open_alerts_leave_room_for_the_rest_of_the_screen() -> None:
    failed = [JobRun("speed_hourly", f"2026-01-06-{hour}:00", "FAILURE", None, None) for hour in range(10, 22)]
    lines = _alerts(failed, datetime(2026, 1, 7, tzinfo=UTC)).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 2 older ones"


def test_a_run_that_is_under_way_has_no_end() -> None:
    (run,) = last_runs([record("batch_daily", "2026-01-05", dg.DagsterRunStatus.STARTED, end_time=None)])
    assert run.ended_at is None
    assert _run(run, datetime.fromtimestamp(50 + 3 * 3600, UTC)).endswith("started    begun 3 h 0 min ago")
    (done,) = last_runs([record("batch_daily", "2026-01-05", dg.DagsterRunStatus.SUCCESS)])
    assert _run(done, datetime.fromtimestamp(180, UTC)).endswith("success    10 s  2 min ago")


def test_ages_are_spoken_as_the_examples_say() -> None:
    assert doctest.testmod(status).failed == 0


def test_days_that_cannot_be_read_are_an_open_alert() -> None:
    assert _alerts([], datetime(2026, 1, 7, tzinfo=UTC), unread=3) == (
        "3 days of the history cannot be read: see History"
    )
