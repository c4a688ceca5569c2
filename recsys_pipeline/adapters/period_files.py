"""From a source to committed files of events: one artifact per day or hour of a window, read as one stream."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.core.dataset.days import PeriodFile, write_periods
from recsys_pipeline.core.dataset.event_counts import event_counts
from recsys_pipeline.core.dataset.events import EventMeaning
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.types import Window


def read_periods(
    store: ArtifactStore,
    source: Source,
    window: Window,
    period: timedelta,
    recipe_of: Callable[[Window], Recipe],
    *,
    max_quarantine_share: float,
    run_id: str = "",
) -> list[Artifact]:
    """Read a window from the source and commit the file of each of its periods, in order; all of them or none.

    Raises what `write_periods` raises; the store is then as it was.
    """
    started = time.monotonic()
    # Taken before the source is read: what changes in it meanwhile must make these periods stale, not up to date.
    recipes = [recipe_of(Window(start, start + period)) for start in window.periods(period)]
    meaning = source.meaning.events
    with store.staged() as staged:
        stream = source.interactions(window)
        files = write_periods(
            stream, window, staged, period=period, max_quarantine_share=max_quarantine_share, meaning=meaning
        )
        seconds = (time.monotonic() - started) / len(files)
        built = [_built(file, staged, meaning) for file in files]
        return [
            store.commit(staged / file.partition, recipe, one, seconds=seconds, run_id=run_id)
            for file, recipe, one in zip(files, recipes, built, strict=True)
        ]


def joined(windows: Iterable[Window]) -> list[Window]:
    """Windows that touch as one; they come in order."""
    found: list[Window] = []
    for window in windows:
        if found and found[-1].end == window.start:
            found[-1] = Window(found[-1].start, window.end)
        else:
            found.append(window)
    return found


def read_what_can_be(
    read: Callable[[Window], list[Artifact]], window: Window, period: timedelta
) -> tuple[list[Artifact], dict[datetime, str]]:
    """Read a window as one stream, and where that fails its halves: k bad periods of n cost O(k log n) streams.

    Returns what was read, in order, and why not of each period that cannot be, by its start.
    """
    try:
        return read(window), {}
    except (SourceError, DataError) as error:
        starts = list(window.periods(period))
        if len(starts) == 1:
            return [], {window.start: str(error)}
    middle = starts[len(starts) // 2]
    early = read_what_can_be(read, Window(window.start, middle), period)
    late = read_what_can_be(read, Window(middle, window.end), period)
    return [*early[0], *late[0]], {**early[1], **late[1]}


def _built(file: PeriodFile, staged: Path, meaning: EventMeaning) -> Built:
    counts = event_counts(pq.read_table(staged / file.path, columns=["event", "value"]), meaning)
    figures = {"rows": file.rows, "quarantined": file.quarantined, "repeats": file.repeats}
    return Built(figures | counts, digest=file.digest)
