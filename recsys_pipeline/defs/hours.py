"""When the speed layer runs: every hour that has passed since the last overlay, in order, once; and after a promotion.

Dagster's own schedule of a partitioned job goes back over at most five ticks that the daemon missed, and a schedule's
`run_key` holds within one tick. So each tick looks for itself: which hours have passed, which have an overlay, and
which were asked for by an earlier run, whatever became of it.
"""

from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.overlays import KEY
from recsys_pipeline.adapters.releases import champion, history
from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.core.types import HOUR_KEY, Window
from recsys_pipeline.defs.partitions import HOURLY
from recsys_pipeline.defs.resources import StoreResource

PARTITION = "dagster/partition"
AT_ONCE = 48
"""Hours that one tick asks for; after a longer outage the next tick goes on with those that follow."""


def speed_hourly_schedule(job: Any, partitions: dg.HourlyPartitionsDefinition = HOURLY) -> Any:
    """The schedule over the hourly job, at five past; off until somebody switches it on."""

    @dg.schedule(name=job.name, job=job, cron_schedule="5 * * * *", execution_timezone="UTC")
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
        since = first_missed(opened, served)
        asked = _asked_for(context.instance, job.name, context.scheduled_execution_time)
        missed = [hour for hour in hours if hour >= since and hour not in asked][:AT_ONCE]
        return [dg.RunRequest(run_key=hour, partition_key=hour) for hour in missed] or dg.SkipReason(
            f"every hour from {since} on has been asked for"
        )

    return speed_hourly


def overlay_after_promotion(job: Any, partitions: dg.HourlyPartitionsDefinition = HOURLY) -> Any:
    """The sensor that gives a new champion its first overlay at once; off until somebody switches it on.

    A promotion or a way back leaves the champion without an overlay until the next full hour; the last complete hour,
    computed again, stands on it and holds everything since its snapshot.
    """

    @dg.sensor(name="overlay_after_promotion", job=job, minimum_interval_seconds=30)
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
        request = dg.RunRequest(run_key=f"{version} {hour} {_moves(opened)}", partition_key=hour)
        return dg.SensorResult(run_requests=[request], cursor=version)

    return sensor


def _moves(store: ArtifactStore) -> int:
    """How often the pointer was moved: forth and back again is another run."""
    return len(history(store))


def first_missed(store: ArtifactStore, served: Artifact) -> str:
    """The hour after the last one with an overlay; before the first overlay, the first that the champion lacks."""
    made = store.partitions(KEY)
    edge = Window.of_partition(made[-1] if made else served.manifest.recipe.partition).end
    return edge.strftime(HOUR_KEY)


def _asked_for(instance: dg.DagsterInstance, job_name: str, now: datetime) -> set[str]:
    """Hours for which the job was ever started or waits to be; failed ones count, for their retry is not ours."""
    since = now - timedelta(days=61)
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since))
    return {record.dagster_run.tags[PARTITION] for record in records if PARTITION in record.dagster_run.tags}
