"""Jobs and their schedules; a schedule carries the name of its job."""

from typing import Any

import dagster as dg

from recsys_pipeline.defs.mirroring import wandb_mirror, wandb_mirror_hourly
from recsys_pipeline.defs.partitions import DAILY
from recsys_pipeline.defs.production import ON_REQUEST

STAGES = dg.AssetSelection.groups("dataset", "folds", "models", "neighbors", "reports")
BATCH = STAGES - dg.AssetSelection.tag(ON_REQUEST, "true")
SWEEP = dg.AssetSelection.groups("learning")


def build_jobs(sweeps: bool) -> list[Any]:
    """`batch_daily`, `wandb_mirror`, and `sweep_weekly` where there is something to sweep."""
    batch = dg.define_asset_job(
        "batch_daily", BATCH, description="Everything of one day: from the source to the evaluated, indexed models."
    )
    sweep = dg.define_asset_job(
        "sweep_weekly", SWEEP.upstream(), description="Tune models on the validation rows of one day's fold."
    )
    return [batch, *([sweep] if sweeps else []), wandb_mirror]


def build_schedules(jobs: list[Any]) -> list[Any]:
    """Off until somebody switches them on.

    The batch at 03:15 UTC for the day before, the sweep on Sunday at 04:30, the mirror every hour.
    """
    makers = {"batch_daily": _daily, "sweep_weekly": _weekly, "wandb_mirror": lambda _: wandb_mirror_hourly}
    return [makers[job.name](job) for job in jobs]


def _daily(job: Any) -> Any:
    return dg.build_schedule_from_partitioned_job(job, name=job.name, hour_of_day=3, minute_of_hour=15)


def _weekly(job: Any) -> Any:
    @dg.schedule(name=job.name, job=job, cron_schedule="30 4 * * 0", execution_timezone="UTC")
    def sweep_weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Tune on the fold of the last complete day."""
        with dg.partition_loading_context(effective_dt=context.scheduled_execution_time):
            partition = DAILY.get_last_partition_key()
        if partition is None:
            return dg.SkipReason("no day is complete yet")
        return dg.RunRequest(run_key=partition, partition_key=partition)

    return sweep_weekly
