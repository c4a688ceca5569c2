"""Rows that reach the source after their day was read: taken in for some days, and counted after that."""

from datetime import date

from recsys_pipeline.adapters.intake.period_files import WITHOUT_TIME, joined, rows_given
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.sources import CountsRows, Source
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.time import DAY, Window

KEY = "dataset/interactions"
LATE_DAYS = 2
"""Days for which a closed day still takes rows in. Of MovieTweetings' daily releases 5 to 7% of a day came late, all
within one day (see `sources/files.py`); one more is for a weekend's delay of somebody else's pipeline."""


def is_stale(store: ArtifactStore, recipe: Recipe) -> bool:
    """Whether the source says another thing of a day now than when the day was read.

    New code or another config alone do not make a closed day stale. One whose file is gone, as after an error that
    asked to delete it, is.
    """
    try:
        current = store.current(recipe.key, recipe.partition)
    except ArtifactError:
        return True
    return current is not None and current.manifest.recipe.config.get(SOURCE) != recipe.config.get(SOURCE)


def rows_too_late(store: ArtifactStore, source: Source, closed: Window) -> dict[date, int]:
    """How many rows more than were read (or fewer, below 0) the source has of each closed day, where it can count.

    One count over all days where nothing came; where something did, halves of them until the days are found. What one
    of them lost and another won, such as a row whose time was corrected, evens out and is not told.
    """
    if not isinstance(source, CountsRows):
        return {}
    read = {}
    have = set(store.partitions(KEY))
    for day in closed.days():
        if day.isoformat() in have:
            metrics = store.get(KEY, day.isoformat()).manifest.metrics
            read[day] = rows_given(metrics) - metrics.get(WITHOUT_TIME, 0)
    differing: dict[date, int] = {}
    for window in joined(Window.of_day(day) for day in read):
        differing |= _differing(source, window, read)
    return differing


def _differing(source: CountsRows, window: Window, read: dict[date, int]) -> dict[date, int]:
    days = list(window.days())
    more = source.count(window) - sum(read[day] for day in days)
    if more == 0 or len(days) == 1:
        return {days[0]: more} if more else {}
    first, middle, last = days[0], days[len(days) // 2], days[-1]
    halves = Window.of_days(first, middle - DAY), Window.of_days(middle, last)
    return _differing(source, halves[0], read) | _differing(source, halves[1], read)
