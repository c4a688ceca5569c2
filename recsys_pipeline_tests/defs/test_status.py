"""The status screen: the newest run of each job and partition decides what is open."""

import doctest
from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg

from recsys_pipeline.defs import status
from recsys_pipeline.defs.status import last_runs, open_failures


def record(job: str, partition: str, state: dg.DagsterRunStatus, end_time: float | None = 60.0) -> SimpleNamespace:
    """What Dagster's instance says of a run."""
    run = SimpleNamespace(job_name=job, tags={"dagster/partition": partition}, status=state)
    return SimpleNamespace(dagster_run=run, start_time=50.0, end_time=end_time)


def test_a_failure_is_open_until_its_partition_succeeds() -> None:
    runs = last_runs(
        [
            record("batch_daily", "2026-01-06", dg.DagsterRunStatus.FAILURE),
            record("batch_daily", "2026-01-05", dg.DagsterRunStatus.SUCCESS),
            record("batch_daily", "2026-01-05", dg.DagsterRunStatus.FAILURE),
        ]
    )
    assert [(run.job, run.partition) for run in open_failures(runs)] == [("batch_daily", "2026-01-06")]


def test_another_job_s_success_closes_nothing() -> None:
    runs = last_runs(
        [
            record("speed_hourly", "2026-01-05", dg.DagsterRunStatus.SUCCESS),
            record("batch_daily", "2026-01-05", dg.DagsterRunStatus.FAILURE),
        ]
    )
    assert [run.job for run in open_failures(runs)] == ["batch_daily"]


def test_a_run_that_is_under_way_has_no_end() -> None:
    (run,) = last_runs([record("batch_daily", "2026-01-05", dg.DagsterRunStatus.STARTED, end_time=None)])
    assert (run.ended_at, run.seconds) == (None, None)
    (done,) = last_runs([record("batch_daily", "2026-01-05", dg.DagsterRunStatus.SUCCESS)])
    assert (done.ended_at, done.seconds) == (datetime.fromtimestamp(60, UTC), 10.0)


def test_ages_are_spoken_as_the_examples_say() -> None:
    assert doctest.testmod(status).failed == 0
