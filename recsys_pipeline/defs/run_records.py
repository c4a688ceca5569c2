"""What Dagster has recorded of runs, as people read it: the newest of each job and partition decides what is open."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from recsys_pipeline.defs.instance import GOING_ON, PARTITION, open_instance, was_killed

RUNS_LOOKED_AT = 200
KILLED_STATE = "KILLED"


@dataclass(frozen=True)
class JobRun:
    """The last run of a job for a partition."""

    job: str
    partition: str
    state: str
    """Dagster's word for it, or `KILLED`."""
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def has_failed(self) -> bool:
        """Whether it failed, or was killed."""
        return self.state in (KILLED_STATE, dg.DagsterRunStatus.FAILURE.value)


def last_runs(records: Iterable[Any]) -> list[JobRun]:
    """Of each job and partition the newest run, newest first; records come newest first."""
    newest: dict[tuple[str, str], JobRun] = {}
    for record in records:
        run = record.dagster_run
        key = (run.job_name, run.tags.get(PARTITION, ""))
        state = KILLED_STATE if was_killed(run) else run.status.value
        newest.setdefault(key, JobRun(*key, state, _instant(record.start_time), _instant(record.end_time)))
    return list(newest.values())


def _instant(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def open_failures(instance: dg.DagsterInstance) -> list[JobRun]:
    """Partitions whose last run failed or was killed, however long ago: a later success closes the alert."""
    ended = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE, *GOING_ON])
    found = [run for run in last_runs(instance.get_run_records(ended, limit=RUNS_LOOKED_AT)) if run.has_failed]
    return [run for run in found if _newest_of(instance, run).has_failed]


def _newest_of(instance: dg.DagsterInstance, run: JobRun) -> JobRun:
    """The newest run of the same job and partition."""
    tags = {PARTITION: run.partition} if run.partition else {}
    (newest, *_) = last_runs(instance.get_run_records(dg.RunsFilter(job_name=run.job, tags=tags), limit=1))
    return newest


@dataclass(frozen=True)
class Recorded:
    """What Dagster has recorded."""

    runs: list[JobRun]
    failures: list[JobRun]
    switched_on: list[str]

    @classmethod
    def read(cls) -> "Recorded":
        """Of the newest runs, and all failures that are open."""
        with open_instance() as instance:
            switched_on = sorted(state.instigator_name for state in instance.all_instigator_state() if state.is_running)
            runs = last_runs(instance.get_run_records(limit=RUNS_LOOKED_AT))
            return cls(runs, open_failures(instance), switched_on)
