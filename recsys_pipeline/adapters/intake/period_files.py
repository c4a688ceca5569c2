"""From a source to committed files of events: one artifact per day or hour of a window, read as one stream."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.days import QUARANTINE_FILE, PeriodFile, write_good_periods
from recsys_pipeline.core.dataset.event_counts import event_counts
from recsys_pipeline.core.dataset.events import EventMeaning
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.dataset.undated import Holders, Undated, holders_in
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.time import Window

WITHOUT_TIME, SOURCE_MARK = "without_time", "source_mark"
"""Metrics of a day: how many of its quarantined rows had no usable time; a digest of what the source gave for it."""


@dataclass(frozen=True)
class Taken:
    """What was taken in of a window."""

    artifacts: list[Artifact]
    """In order."""
    failed: dict[datetime, str]
    """Why not of each period that cannot be used, by its start."""
    rows_failed: dict[datetime, int]
    """Rows of those of them that could be read."""

    def __add__(self, later: "Taken") -> "Taken":
        return Taken(
            [*self.artifacts, *later.artifacts], self.failed | later.failed, self.rows_failed | later.rows_failed
        )


NOTHING = Taken([], {}, {})


def read_periods(
    store: ArtifactStore,
    source: Source,
    window: Window,
    period: timedelta,
    recipe_of: Callable[[Window], Recipe],
    *,
    max_quarantine_share: float,
    undated: Undated,
    needed: Window | None = None,
    run_id: str = "",
    origins: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Taken:
    """Read a window from the source and commit the file of each of its periods that can be used, in order.

    `origins` say where the values of the recipes' config are from; `progress` is told as by `write_good_periods`.

    Raises what `write_good_periods` raises, and `DataError` where the period `needed` is refused; the store is then as
    it was.
    """
    started = time.monotonic()
    # Taken before the source is read: what changes in it meanwhile must make these periods stale, not up to date.
    recipes = {start: recipe_of(Window(start, start + period)) for start in window.periods(period)}
    meaning = source.meaning.events
    with store.staged() as staged:
        written = write_good_periods(
            source.interactions(window), window, staged, period=period, max_quarantine_share=max_quarantine_share,
            undated=undated, meaning=meaning, progress=progress,
        )  # fmt: skip
        if needed is not None and needed.start in written.refused:
            raise DataError(written.refused[needed.start])
        seconds = (time.monotonic() - started) / max(len(written.files), 1)
        built = [_built(file, staged, meaning) for file in written.files]
        made = [
            store.commit(
                staged / file.partition, recipes[file.start], one, seconds=seconds, run_id=run_id, origins=origins
            )
            for file, one in zip(written.files, built, strict=True)
        ]
        return Taken(made, written.refused, written.rows_refused)


def rows_given(metrics: Mapping[str, Any]) -> int:
    """Rows that the source gave for a stored period, by its metrics; earlier versions counted no repeats apart."""
    return metrics["rows"] + metrics["quarantined"] + metrics.get("repeats", 0)


def joined(windows: Iterable[Window]) -> list[Window]:
    """Windows that touch as one; they come in order."""
    found: list[Window] = []
    for window in windows:
        if found and found[-1].end == window.start:
            found[-1] = Window(found[-1].start, window.end)
        else:
            found.append(window)
    return found


def read_what_can_be(read: Callable[[Window], Taken], window: Window, period: timedelta) -> Taken:
    """Read a window as one stream, and where that fails its halves: k bad periods of n cost O(k log n) streams."""
    try:
        return read(window)
    except (SourceError, DataError) as error:
        starts = list(window.periods(period))
        if len(starts) == 1:
            return Taken([], {window.start: str(error)}, {})
    middle = starts[len(starts) // 2]
    early = read_what_can_be(read, Window(window.start, middle), period)
    return early + read_what_can_be(read, Window(middle, window.end), period)


def _built(file: PeriodFile, staged: Path, meaning: EventMeaning) -> Built:
    counts = event_counts(pq.read_table(staged / file.path, columns=["event", "value"]), meaning)
    without_time = {WITHOUT_TIME: file.without_time} if file.without_time else {}
    figures = {"rows": file.rows, "quarantined": file.quarantined, "repeats": file.repeats, **without_time}
    return Built({**figures, **counts, SOURCE_MARK: file.source_mark}, digest=file.digest)


def stored_undated(store: ArtifactStore, key: str) -> Undated:
    """Rows without a time that stored periods hold."""

    def holders() -> Holders:
        names = (name for name in store.partitions(key) if store.is_there(key, name))  # what is gone holds nothing
        stored = ((name, store.get(key, name)) for name in names)
        held = ((name, one.path / QUARANTINE_FILE, one.manifest.metrics.get(WITHOUT_TIME, 0)) for name, one in stored)
        return holders_in(one for one in held if one[2])

    return Undated(holders)
