"""Rows that reach the source after their day was read: taken in for some days, and counted after that."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.manifest_differences import SOURCE
from recsys_pipeline.adapters.store import ArtifactStore
from recsys_pipeline.core.dataset.sources import CountsRows, Source
from recsys_pipeline.core.types import Window

KEY = "dataset/interactions"
LATE_DAYS = 2
"""Days for which a closed day still takes rows in. Of MovieTweetings' daily releases 5 to 7% of a day came late, all
within one day (see `sources/files.py`); one more is for a weekend's delay of somebody else's pipeline."""


def is_stale(store: ArtifactStore, recipe: Recipe) -> bool:
    """Whether the source says another thing of a day now than when the day was read.

    New code or another config alone do not make a closed day stale.
    """
    current = store.current(recipe.key, recipe.partition)
    return current is not None and current.manifest.recipe.config.get(SOURCE) != recipe.config.get(SOURCE)


def day_ranges(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """First and last of each run of consecutive days; `days` are in order."""
    first = last = None
    for day in days:
        if first is None or last is None or day - last > timedelta(days=1):
            if first is not None and last is not None:
                yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def rows_too_late(store: ArtifactStore, source: Source, closed: Window) -> dict[date, int]:
    """How many rows more than were read (or fewer, below 0) the source has of each closed day, where it can count.

    One count over all days where nothing came; where something did, halves of them until the days are found.
    """
    if not isinstance(source, CountsRows):
        return {}
    read = {}
    have = set(store.partitions(KEY))
    for day in closed.days():
        if day.isoformat() in have:
            metrics = store.get(KEY, day.isoformat()).manifest.metrics
            read[day] = metrics["rows"] + metrics["quarantined"]
    differing: dict[date, int] = {}
    for first, last in day_ranges(read):
        differing |= _differing(source, first, last, read)
    return differing


def _differing(source: CountsRows, first: date, last: date, read: dict[date, int]) -> dict[date, int]:
    window = Window.of_days(first, last)
    more = source.count(window) - sum(read[day] for day in window.days())
    if more == 0 or first == last:
        return {first: more} if more else {}
    middle = first + (last - first) // 2
    return _differing(source, first, middle, read) | _differing(source, middle + timedelta(days=1), last, read)
