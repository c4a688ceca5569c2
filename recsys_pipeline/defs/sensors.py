"""Sensors: what starts a run because of what was found, not because of the hour."""

from datetime import date
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.reports.monitoring.drift import NOT_COMPARED
from recsys_pipeline.defs.alerting import alert_on_failure
from recsys_pipeline.defs.arrival import source_arrival
from recsys_pipeline.defs.freshness import freshness
from recsys_pipeline.defs.hours import overlay_after_promotion
from recsys_pipeline.defs.instance import PARTITION
from recsys_pipeline.defs.learning.tuned import TUNED
from recsys_pipeline.defs.partitions import Partitions
from recsys_pipeline.defs.reports.drift import KEY
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline.defs.retries import retry_of_backfills
from recsys_pipeline.defs.run_records import RUNS_LOOKED_AT
from recsys_pipeline.settings import settings

CHECK_EVERY_S = 900
PARTITIONED = ("batch_daily", "sweep_weekly", "speed_hourly")
"""Jobs that can be backfilled."""


def build_sensors(jobs: list[Any], partitions: Partitions, has_end: bool) -> list[Any]:
    """`alert_on_failure`, `retry_of_backfills` and `freshness`, which are on; off until switched on: `drift_sweep`,
    where there is something to sweep, `source_arrival`, where the source has an end that moves as data arrives, and
    `overlay_after_promotion`."""
    sweeps = [_drift_sweep(job) for job in jobs if job.name == "sweep_weekly"]
    arrivals = [source_arrival(job, partitions.daily) for job in jobs if job.name == "batch_daily" and has_end]
    overlays = [overlay_after_promotion(job, partitions.hourly) for job in jobs if job.name == "speed_hourly"]
    retries = retry_of_backfills([job for job in jobs if job.name in PARTITIONED])
    fresh = [freshness for job in jobs if job.name == "speed_hourly"]
    return [alert_on_failure, retries, *fresh, *sweeps, *arrivals, *overlays]


def _drift_sweep(job: Any) -> Any:
    @dg.sensor(
        name="drift_sweep", job=job, minimum_interval_seconds=CHECK_EVERY_S,
        description=f"Every {CHECK_EVERY_S // 60} minutes: tunes the models anew where the newest day drifted.",
    )  # fmt: skip
    def drift_sweep(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
        """Tune anew where the newest day drifted, unless a sweep, whoever asked for it, was made lately or goes on.

        Its cursor is the day of its last request. Figures of a model count under equal settings only: else the new
        scale of a sweep's winner would pass for drift, and ask for the next sweep.
        """
        opened = store.open()
        newest = newest_drift(opened)
        if newest is None:
            return dg.SkipReason(f"{KEY} was never made")
        day, breached = newest.manifest.recipe.partition, newest.manifest.metrics["breached"]
        if not breached:
            return dg.SkipReason(f"no drift on {day}{_left_out(newest)}")
        asked = [context.cursor] if context.cursor else []
        swept = max([*asked, *swept_days(opened, context.instance, job.name)], default=None)
        if waiting := _cooldown(swept, day, settings().drift_cooldown_days):
            return dg.SkipReason(waiting)
        request = dg.RunRequest(run_key=f"drift-{day}", partition_key=day, tags={"recsys/drift": ",".join(breached)})
        return dg.SensorResult(run_requests=[request], cursor=day)

    return drift_sweep


def newest_drift(store: ArtifactStore) -> Artifact | None:
    """The drift report of the newest day that has one."""
    days = store.partitions(KEY)
    return store.get(KEY, days[-1]) if days else None


def swept_days(store: ArtifactStore, instance: dg.DagsterInstance, job: str) -> list[str]:
    """Days that sweeps are of: those that were made, and those that a run was asked for, whatever became of it."""
    made = [days[-1] for tuned in TUNED.values() if (days := store.partitions(tuned.key))]
    runs = instance.get_runs(dg.RunsFilter(job_name=job), limit=RUNS_LOOKED_AT)
    return [*made, *(run.tags[PARTITION] for run in runs if PARTITION in run.tags)]


def _left_out(newest: Artifact) -> str:
    others = newest.manifest.metrics.get("of_other_settings", [])
    return f"; {NOT_COMPARED}: {', '.join(others)}" if others else ""


def _cooldown(swept: str | None, day: str, cooldown_days: int) -> str:
    """Why the day must wait; empty where it need not."""
    if swept is None:
        return ""
    passed = (date.fromisoformat(day) - date.fromisoformat(swept)).days
    if passed <= 0:
        return f"there is a sweep of {swept} already, made or asked for"
    if passed < cooldown_days:
        return f"the last sweep is of {swept}; {cooldown_days} days must pass, and {day} drifted {passed} later"
    return ""
