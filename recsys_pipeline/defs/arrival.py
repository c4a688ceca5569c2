"""The sensor that starts a day's batch when its data is there: for sources that end, and grow by a file or a load."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.intake.late_rows import KEY, LATE_DAYS
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.resources import SourceResource, StoreResource

CHECK_EVERY_S = 300
AT_ONCE = 3
"""Requests of one tick; the next tick goes on."""
REMEMBERED = 100
"""Requests that the cursor keeps; Dagster itself refuses a run key that it has seen."""


@dataclass(frozen=True)
class Due:
    """A day whose batch should run, and a key that changes when what it would read changes."""

    day: date
    run_key: str
    reason: str


def source_arrival(job: Any, partitions: dg.DailyPartitionsDefinition) -> Any:
    """The sensor over a daily job; off until somebody switches it on."""

    @dg.sensor(
        name="source_arrival", job=job, minimum_interval_seconds=CHECK_EVERY_S,
        description=f"Every {CHECK_EVERY_S // 60} minutes: where the source has a new day, or other rows of a day, "
        "runs the batch for it.",
    )  # fmt: skip
    def source_arrival(
        context: dg.SensorEvaluationContext, source: SourceResource, store: StoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        """Request the batch of each day whose data has arrived, in order, and of the newest day where rows came late.

        Its cursor is the list of the last requests; what failed is not asked for again until the source changes.
        """
        opened = source.open()
        last = opened.days().last
        newest = partitions.get_last_partition_key()
        if last is None or newest is None:
            return dg.SkipReason("the source has no last day to wait for: its schedule runs every day")
        end = min(last, date.fromisoformat(newest))
        requested: list[str] = json.loads(context.cursor or "[]")
        due = due_days(store.open(), opened, end)
        fresh = [one for one in due if one.run_key not in requested][:AT_ONCE]
        if not fresh:
            return dg.SkipReason(_waits_for(due, end, last, partitions))
        requests = [
            dg.RunRequest(run_key=one.run_key, partition_key=one.day.isoformat(), tags={"recsys/arrival": one.reason})
            for one in fresh
        ]
        cursor = json.dumps([*requested, *(one.run_key for one in fresh)][-REMEMBERED:])
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return source_arrival


def due_days(store: ArtifactStore, source: Source, end: date, late_days: int = LATE_DAYS) -> list[Due]:
    """Days up to `end` that were never ingested, in order; where there are none, the newest day if rows came late.

    The batch of a day takes in the late rows of the `late_days` days before it, so one request serves them all. In a
    store without any day only `end` is due: its run brings all of history.
    """
    made = [date.fromisoformat(name) for name in store.partitions(KEY) if name <= end.isoformat()]
    if not made:
        return [_due(source, end, [end], "first")]
    missing = sorted({*Window.of_days(made[0], end).days()} - {*made} - source.days().absent)
    if missing:
        return [_due(source, day, [day], "arrived") for day in missing[:REMEMBERED]]
    overlap = made[-1 - late_days :]
    changed = [day for day in overlap if _recorded(store, day) != source.fingerprint(Window.of_day(day))]
    return [_due(source, end, overlap, "late rows")] if changed else []


def _recorded(store: ArtifactStore, day: date) -> Any:
    """The fingerprint with which a day was read."""
    return store.get(KEY, day.isoformat()).manifest.recipe.config.get(SOURCE)


def _due(source: Source, day: date, read: list[date], reason: str) -> Due:
    said = json.dumps([source.fingerprint(Window.of_day(one)) for one in read])
    return Due(day, f"arrival-{day}-{hashlib.sha256(said.encode()).hexdigest()[:12]}", reason)


def _waits_for(due: list[Due], end: date, last: date, partitions: dg.DailyPartitionsDefinition) -> str:
    """Why nothing is asked for, and what would change that."""
    if partitions.end is not None and last >= partitions.end.date():
        return (
            f"the source has data up to {last}, and the partitions of this code location end with {end}: "
            "reload the code location (Deployment, Reload) to see the new days"
        )
    if due:
        days = ", ".join(one.day.isoformat() for one in due[:AT_ONCE])
        return f"{days} was asked for already: its run has not read the source yet, or failed; run it by hand to retry"
    return f"all days up to {end} are up to date; waiting for data of {end + timedelta(days=1)}"
