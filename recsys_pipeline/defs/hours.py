"""When the speed layer runs: every hour that has passed since the last overlay, in order; again where its run failed;
and after a promotion.

Dagster's own schedule of a partitioned job goes back over at most five ticks that the daemon missed, and a schedule's
`run_key` holds within one tick. So each tick looks for itself: which hours have passed, which have an overlay, and
what became of those that were asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.serving.overlays import KEY, reach
from recsys_pipeline.adapters.serving.releases import champion, history
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.time import HOUR_KEY, Window
from recsys_pipeline.defs.instance import PARTITION
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline.defs.retries import RETRY_OF
from recsys_pipeline.settings import settings

RETRIES = frozenset({"dagster/parent_run_id", RETRY_OF})
"""Tags of a second try, by Dagster or by `retry_of_backfills`."""
AT_ONCE = 48
"""Hours that one tick asks for; after a longer outage the next tick goes on with those that follow."""
ATTEMPTS = 3
"""How often an hour whose runs fail is asked for: what fails so often once all else works is not the weather."""
ASKED_AGAIN_WITHIN = timedelta(days=7)
"""Failed hours that are older are left to people."""


@dataclass(frozen=True)
class Asked:
    """What became of an hour that was asked for."""

    times: int
    """Runs, without the retries of any."""
    has_failed: bool
    """Whether the newest of its runs failed; one that was cancelled did what somebody wanted."""


def speed_hourly_schedule(job: Any, partitions: dg.HourlyPartitionsDefinition) -> Any:
    """The schedule over the hourly job, at five past; off until somebody switches it on."""

    @dg.schedule(
        name=job.name, job=job, cron_schedule="5 * * * *", execution_timezone="UTC",
        description="Five past every hour: folds the hours since the champion's day into an overlay over it.",
    )  # fmt: skip
    def speed_hourly(
        context: dg.ScheduleEvaluationContext, store: StoreResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        """Ask for the hour that has just passed, and for those before it that were missed."""
        with dg.partition_loading_context(effective_dt=context.scheduled_execution_time):
            hours = partitions.get_partition_keys()
        opened = store.open()
        served = champion(opened)
        if served is None:
            return dg.SkipReason("no release has been promoted yet, and an overlay stands on one: run batch_daily")
        since, edge = first_missed(opened, served), _edge(served)
        asked = _asked_for(context, job.name, since)
        left = given_up(asked)
        if left:
            context.log.warning(left)
        due = due_hours([hour for hour in hours if hour < edge], since, asked)
        nothing = _too_far(served) if since >= edge else f"every hour from {since} on has been asked for"
        return due or dg.SkipReason(nothing + (f"; {left}" if left else ""))

    return speed_hourly


def overlay_after_promotion(job: Any, partitions: dg.HourlyPartitionsDefinition) -> Any:
    """The sensor that gives a new champion its first overlay at once; off until somebody switches it on.

    A promotion or a way back leaves the champion without an overlay until the next full hour; the last complete hour,
    computed again, stands on it and holds everything since its snapshot.
    """

    @dg.sensor(
        name="overlay_after_promotion", job=job, minimum_interval_seconds=30,
        description="Every 30 s: where another release is served, makes the overlay over it at once.",
    )  # fmt: skip
    def sensor(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
        """Ask for the last complete hour where the champion has changed; the cursor is its version."""
        opened = store.open()
        served = champion(opened)
        if served is None:
            return dg.SkipReason("no release has been promoted yet")
        version = f"{served.manifest.recipe.partition}/{served.path.name}"
        if version == context.cursor:
            return dg.SkipReason(f"{version} is served still")
        hour = partitions.get_last_partition_key()
        if hour is None or Window.of_partition(hour).start < Window.of_partition(served.manifest.recipe.partition).end:
            return dg.SkipReason("no hour has passed since the champion's snapshot")
        if hour >= _edge(served):
            return dg.SkipReason(_too_far(served))
        request = dg.RunRequest(run_key=f"{version} {hour} {_moves(opened)}", partition_key=hour)
        return dg.SensorResult(run_requests=[request], cursor=version)

    return sensor


def _edge(served: Artifact) -> str:
    """The first hour that no overlay over the champion holds."""
    return f"{reach(served.manifest.recipe.partition, settings().overlay_hours):{HOUR_KEY}}"


def _too_far(served: Artifact) -> str:
    return (
        f"the champion is of {served.manifest.recipe.partition}, and an overlay holds {settings().overlay_hours} hours "
        "after it (RECSYS_OVERLAY_HOURS): run batch_daily for a later day"
    )


def _moves(store: ArtifactStore) -> int:
    """How often the pointer was moved: forth and back again is another run."""
    return len(history(store))


def first_missed(store: ArtifactStore, served: Artifact) -> str:
    """The hour after the last one with an overlay; before the first overlay, the first that the champion lacks."""
    made = store.partitions(KEY)
    edge = Window.of_partition(made[-1] if made else served.manifest.recipe.partition).end
    return edge.strftime(HOUR_KEY)


def due_hours(passed: Sequence[str], since: str, asked: Mapping[str, Asked]) -> list[dg.RunRequest]:
    """Hours to ask for: those from `since` on that never were, and then, in order, those before it whose run failed.

    `since` is the end of the newest overlay, so a failed hour comes again only once a later one has succeeded: while
    the source is away each hour is asked for once, and all that failed once it is back. New hours come first, because
    they hold the events of those that failed, and because a bad hour must keep none of them waiting.
    """
    new = [dg.RunRequest(run_key=hour, partition_key=hour) for hour in passed if hour >= since and hour not in asked]
    failed = [
        dg.RunRequest(run_key=f"{hour} after {asked[hour].times}", partition_key=hour)
        for hour in passed
        if hour < since and hour in asked and asked[hour].has_failed and asked[hour].times < ATTEMPTS
    ]
    return [*new, *failed][:AT_ONCE]


def given_up(asked: Mapping[str, Asked]) -> str:
    """Which hours are not asked for again though their run failed, and what to do; empty where there is none."""
    hours = sorted(hour for hour, one in asked.items() if one.has_failed and one.times >= ATTEMPTS)
    if not hours:
        return ""
    return f"given up after {ATTEMPTS} failed runs: {', '.join(hours)}; mend the cause, and run them by hand"


def _asked_for(context: dg.ScheduleEvaluationContext, job_name: str, since: str) -> dict[str, Asked]:
    """Every hour for which the job was ever started or waits to be, as far back as one may be due.

    Runs of an hour come after it, so that those created earlier tell nothing of the hours that are looked at.
    """
    first = min(Window.of_partition(since).start, context.scheduled_execution_time - ASKED_AGAIN_WITHIN)
    records = context.instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=first))
    runs: dict[str, list[dg.DagsterRun]] = {}
    for record in records:  # newest first
        if hour := record.dagster_run.tags.get(PARTITION):
            runs.setdefault(hour, []).append(record.dagster_run)
    return {hour: _became_of(found) for hour, found in runs.items() if Window.of_partition(hour).start >= first}


def _became_of(runs: Iterable[dg.DagsterRun]) -> Asked:
    newest, *_ = found = list(runs)
    times = sum(RETRIES.isdisjoint(run.tags) for run in found)
    return Asked(times, newest.status == dg.DagsterRunStatus.FAILURE)
