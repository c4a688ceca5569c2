"""Jobs and their schedules; a schedule carries the name of its job."""

from typing import Any

import dagster as dg

from recsys_pipeline.defs.hours import speed_hourly_schedule
from recsys_pipeline.defs.making import ON_REQUEST
from recsys_pipeline.defs.mirroring import wandb_mirror, wandb_mirror_hourly
from recsys_pipeline.defs.partitions import Partitions
from recsys_pipeline.defs.releasing import release_by_hand

STAGES = dg.AssetSelection.groups("dataset", "folds", "models", "neighbors", "reports", "serving")
BATCH = STAGES - dg.AssetSelection.tag(ON_REQUEST, "true")
ANY_SWEEP = dg.AssetSelection.groups("learning")
SWEEP = ANY_SWEEP - dg.AssetSelection.tag(ON_REQUEST, "true")
SPEED = dg.AssetSelection.groups("speed")
IN_ORDER = "recsys/in_order"
"""Tag of runs of which `dagster.yaml` lets one at a time run, in the order in which they were asked for."""

SUNDAYS = "Sundays at 04:30 UTC: tunes the models on the fold of the last complete day."


def build_jobs(sweeps: bool, speed: bool) -> list[Any]:
    """`batch_daily` and `wandb_mirror`; where fed `sweep_weekly`, `sweep_by_hand`, `speed_hourly`,
    `release_by_hand`."""
    batch = dg.define_asset_job(
        "batch_daily",
        BATCH,
        description="Everything of one day: from the source to the release that is served.",
        tags={IN_ORDER: "batch_daily"},
    )
    sweep = dg.define_asset_job(
        "sweep_weekly", SWEEP.upstream(), description="Tune models on the validation rows of one day's fold."
    )
    by_hand = dg.define_asset_job(
        "sweep_by_hand",
        ANY_SWEEP.upstream(),
        description="What `recsys sweep run` runs a part of, to tune one model; run whole, it tunes all that it can.",
    )
    hourly = dg.define_asset_job(
        "speed_hourly",
        SPEED,
        description="What happened since the champion's snapshot, as an overlay over it.",
        tags={IN_ORDER: "speed_hourly"},
    )
    return [batch, *([sweep, by_hand] if sweeps else []), *([hourly, release_by_hand] if speed else []), wandb_mirror]


def build_schedules(jobs: list[Any], partitions: Partitions) -> list[Any]:
    """Off until somebody switches them on.

    The batch at 03:15 UTC for the day before, the sweep on Sunday at 04:30, the speed layer at five past every hour for
    the hours before, the mirror every hour.
    """
    makers = {
        "batch_daily": _daily,
        "sweep_weekly": lambda job: _weekly(job, partitions.daily),
        "speed_hourly": lambda job: speed_hourly_schedule(job, partitions.hourly),
        "wandb_mirror": lambda _: wandb_mirror_hourly,
    }
    return [makers[job.name](job) for job in jobs if job.name in makers]


def _daily(job: Any) -> Any:
    return dg.build_schedule_from_partitioned_job(
        job, name=job.name, hour_of_day=3, minute_of_hour=15,
        description="Every night at 03:15 UTC: the batch of the day that has just ended, from source to release.",
    )  # fmt: skip


def _weekly(job: Any, days: dg.DailyPartitionsDefinition) -> Any:
    @dg.schedule(name=job.name, job=job, cron_schedule="30 4 * * 0", execution_timezone="UTC", description=SUNDAYS)
    def sweep_weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Tune on the fold of the last complete day."""
        with dg.partition_loading_context(effective_dt=context.scheduled_execution_time):
            partition = days.get_last_partition_key()
        if partition is None:
            return dg.SkipReason("no day is complete yet")
        return dg.RunRequest(run_key=partition, partition_key=partition)

    return sweep_weekly
