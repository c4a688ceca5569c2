"""A failed run of a job's backfill is run once more, as Dagster does with every other failed run.

To Dagster 1.13 a job's backfill is over once its runs are queued, and it retries no run of a backfill that is over (an
asset's backfill lasts until its runs have ended, so those are retried).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from recsys_pipeline.defs import refusals
from recsys_pipeline.defs.failures import step_failures
from recsys_pipeline.defs.instance import PARTITION

SENSOR = "retry_of_backfills"
BACKFILL, WILL_RETRY, RETRIED_AS = "dagster/backfill", "dagster/will_retry", "dagster/auto_retry_run_id"
"""Dagster's tags: of a run's backfill; of a failed run that it means to start again; and that it has."""
RETRY_OF, TAKEN = "recsys/retry_of", "recsys/runs_again"
"""Our tags: of a second try, whose it is; and of a failed run, that it has one."""
LASTING = (*(kind.__name__ for kind in refusals.LASTING), "DagsterAssetCheckFailedError", "Failure")
"""Names of what comes out the same however often it is run."""
GIVEN_UP, GOING_ON = ("CANCELING", "CANCELED", "FAILING", "FAILED"), ("REQUESTED", "CANCELING", "FAILING")
"""States of a backfill: those after which nobody wants its runs, and those in which it is not over."""


def retry_of_backfills(jobs: Sequence[Any]) -> dg.SensorDefinition:
    """The sensor over jobs with partitions; on from the start, as Dagster's own retries are."""

    @dg.run_failure_sensor(
        name=SENSOR,
        monitored_jobs=list(jobs),
        request_jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Soon after a run of a job's backfill has failed: runs it once more, which Dagster does not.",
    )
    def run_once_more(context: dg.RunFailureSensorContext) -> dg.RunRequest | None:
        """Ask for the same run again, unless the same would come out."""
        run, again = context.dagster_run, _may_change(context.get_step_failure_events())
        if not _is_left_to_us(context.instance, run):
            return None
        # Dagster looks at its own tag when it comes to the run, should it find the backfill still going on.
        context.instance.add_run_tags(run.run_id, {WILL_RETRY: "false", **({TAKEN: "true"} if again else {})})
        return second_try(run) if again else None

    return run_once_more


def second_try(run: dg.DagsterRun) -> dg.RunRequest:
    """The same run again, outside the backfill, and no third time."""
    kept = {name: value for name, value in run.tags.items() if not name.startswith("dagster/")}
    return dg.RunRequest(
        run_key=f"retry-{run.run_id}",
        job_name=run.job_name,
        run_config=run.run_config,
        partition_key=run.tags[PARTITION],
        tags={**kept, RETRY_OF: run.run_id, refusals.MAX_RETRIES: "0"},
        asset_selection=sorted(run.asset_selection) if run.asset_selection else None,
    )


def is_tried_again(instance: dg.DagsterInstance, run: dg.DagsterRun, events: Sequence[dg.DagsterEvent]) -> bool:
    """Whether a failed run truly is started again: by Dagster, or by the sensor, where that is on.

    `events` are those of its failed steps.
    """
    if RETRIED_AS in run.tags or TAKEN in run.tags:
        return True
    if _is_left_to_us(instance, run):
        return _may_change(events) and not _is_off(instance)
    backfill = instance.get_backfill(run.tags[BACKFILL]) if BACKFILL in run.tags else None
    is_over = BACKFILL in run.tags and (backfill is None or backfill.status.value not in GOING_ON)
    return run.tags.get(WILL_RETRY) == "true" and not is_over


def _is_left_to_us(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether it is a run of a job's backfill that nobody gave up, and that may be tried again but was not yet."""
    if run.tags.get(WILL_RETRY) != "true" or RETRIED_AS in run.tags or not {BACKFILL, PARTITION} <= run.tags.keys():
        return False
    backfill = instance.get_backfill(run.tags[BACKFILL])
    return backfill is not None and not backfill.is_asset_backfill and backfill.status.value not in GIVEN_UP


def _may_change(events: Sequence[dg.DagsterEvent]) -> bool:
    """Whether something else may come out of another try."""
    return not any(failure.error in LASTING for failure in step_failures(events))


def _is_off(instance: dg.DagsterInstance) -> bool:
    """Whether somebody has switched the sensor off."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == SENSOR]
    return any(not state.is_running for state in states)
