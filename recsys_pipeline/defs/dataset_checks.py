"""What people should know of a day's raw data before they trust what is made of it: advisory, so that nothing stops."""

from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.period_files import rows_given
from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline.defs.shown import at_most
from recsys_pipeline.defs.table_metadata import table_of

USUAL_DAYS, LEAST_DAYS = 28, 7
"""Days that say what is usual, and how many it takes."""
MOST_TIMES_USUAL = 2.0
MOST_ASIDE = 0.001
"""Share of rows; the run fails at ten times that (`max_quarantine_share`)."""
MOST_HOURS_SILENT = 12.0

Found = tuple[bool, Mapping[str, Any]]


def volume_is_usual(artifact: Artifact) -> Found:
    """The day has between half and twice the rows of a usual day of the four weeks before it (their median)."""
    store, recipe = StoreResource().open(), artifact.manifest.recipe
    days = [day for day in store.partitions(recipe.key) if day < recipe.partition][-USUAL_DAYS:]
    rows = artifact.manifest.metrics["rows"]
    if len(days) < LEAST_DAYS:
        return True, {"value": float(rows), "earlier_days": len(days)}
    usual = float(median(store.get(recipe.key, day).manifest.metrics["rows"] for day in days))
    times = rows / usual if usual else float(rows)
    off = max(times, 1 / times) if times else MOST_TIMES_USUAL + 1
    return off <= MOST_TIMES_USUAL, {
        **at_most(off, MOST_TIMES_USUAL), "times_usual": times, "rows": rows, "usual_rows": usual,
    }  # fmt: skip


def little_is_put_aside(artifact: Artifact) -> Found:
    """At most one row in a thousand breaks the contract and stands in the quarantine table."""
    metrics = artifact.manifest.metrics
    aside = metrics["quarantined"]
    share = aside / max(rows_given(metrics), 1)
    return share <= MOST_ASIDE, {**at_most(share, MOST_ASIDE), "rows_aside": aside}


def newest_event_is_late_in_the_day(artifact: Artifact) -> Found:
    """The newest event lies in the second half of the day: else the source may have stopped, or come in part."""
    end, newest = Window.of_partition(artifact.manifest.recipe.partition).end, newest_event(artifact)
    if newest is None:
        return False, {"newest_event": "none"}
    silent = (end - newest).total_seconds() / 3600
    return silent <= MOST_HOURS_SILENT, {**at_most(silent, MOST_HOURS_SILENT), "newest_event": f"{newest:%F %T}"}


def newest_event(artifact: Artifact) -> datetime | None:
    """In UTC; none of a day without rows."""
    path = table_of(artifact)
    if path is None:
        return None
    newest = max(pq.read_table(path, columns=["timestamp"])["timestamp"].to_pylist(), default=None)
    return newest.astimezone(UTC) if newest else None


ROWS_OF_A_DAY = (volume_is_usual, little_is_put_aside, newest_event_is_late_in_the_day)
CATALOGUE_OF_A_DAY = (volume_is_usual, little_is_put_aside)
