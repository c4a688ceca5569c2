"""Sensors: what starts a run because of what was found, not because of the hour."""

from datetime import date
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.defs.alerting import alert_on_failure
from recsys_pipeline.defs.arrival import source_arrival
from recsys_pipeline.defs.freshness import freshness
from recsys_pipeline.defs.hours import overlay_after_promotion
from recsys_pipeline.defs.reports.drift import KEY
from recsys_pipeline.defs.resources import StoreResource, configured_source
from recsys_pipeline.defs.retries import retry_of_backfills
from recsys_pipeline.settings import settings

CHECK_EVERY_S = 900
PARTITIONED = ("batch_daily", "sweep_weekly", "speed_hourly")
"""Jobs that can be backfilled."""


def build_sensors(jobs: list[Any]) -> list[Any]:
    """`alert_on_failure`, `retry_of_backfills` and `freshness`, which are on; off until switched on: `drift_sweep`,
    where there is something to sweep, `source_arrival`, where the source has an end that moves as data arrives, and
    `overlay_after_promotion`."""
    sweeps = [_drift_sweep(job) for job in jobs if job.name == "sweep_weekly"]
    has_end = configured_source().days().last is not None
    arrivals = [source_arrival(job) for job in jobs if job.name == "batch_daily" and has_end]
    overlays = [overlay_after_promotion(job) for job in jobs if job.name == "speed_hourly"]
    retries = retry_of_backfills([job for job in jobs if job.name in PARTITIONED])
    fresh = [freshness for job in jobs if job.name == "speed_hourly"]
    return [alert_on_failure, retries, *fresh, *sweeps, *arrivals, *overlays]


def _drift_sweep(job: Any) -> Any:
    @dg.sensor(
        name="drift_sweep", job=job, minimum_interval_seconds=CHECK_EVERY_S,
        description=f"Every {CHECK_EVERY_S // 60} minutes: tunes the models anew where the newest day drifted.",
    )  # fmt: skip
    def drift_sweep(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
        """Tune anew where the newest day drifted; its cursor is the day of the last request."""
        newest = newest_drift(store.open())
        if newest is None:
            return dg.SkipReason(f"{KEY} was never made")
        day, breached = newest.manifest.recipe.partition, newest.manifest.metrics["breached"]
        if not breached:
            return dg.SkipReason(f"no drift on {day}")
        waiting = _cooldown(context.cursor, day, settings().drift_cooldown_days)
        if waiting:
            return dg.SkipReason(waiting)
        request = dg.RunRequest(run_key=f"drift-{day}", partition_key=day, tags={"recsys/drift": ",".join(breached)})
        return dg.SensorResult(run_requests=[request], cursor=day)

    return drift_sweep


def newest_drift(store: ArtifactStore) -> Artifact | None:
    """The drift report of the newest day that has one."""
    days = store.partitions(KEY)
    return store.get(KEY, days[-1]) if days else None


def _cooldown(requested: str | None, day: str, cooldown_days: int) -> str:
    """Why the day must wait; empty where it need not."""
    if requested is None:
        return ""
    passed = (date.fromisoformat(day) - date.fromisoformat(requested)).days
    if passed <= 0:
        return f"a sweep was requested for {requested} already"
    if passed < cooldown_days:
        return (
            f"a sweep was requested for {requested}; {cooldown_days} days must pass, and {day} drifted {passed} later"
        )
    return ""
