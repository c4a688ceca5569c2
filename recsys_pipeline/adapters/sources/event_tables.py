"""The events of a source whose files differ in their columns: views here, orders there, one `[[interactions]]` each."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from recsys_pipeline.adapters.sources.event_files import STREAM, EventFiles
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.time import Window


class EventTables:
    """All `[[interactions]]` of a source together; one is most usual."""

    def __init__(self, tables: Sequence[EventFiles]) -> None:
        self._tables = tables

    def days(self) -> DayRange:
        """From the first event of any to the last of any: several are of layout `file`, which may grow at any time."""
        ranges = [table.days() for table in self._tables]
        if len(ranges) == 1:
            return ranges[0]
        lasts = [one.last for one in ranges if one.last is not None]
        return DayRange(min(one.first for one in ranges), max(lasts) if len(lasts) == len(ranges) else None)

    def far_days(self) -> str:
        """Lone far days, in words."""
        return "; ".join(told for table in self._tables if (told := table.far_days()))

    def read(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window, table by table; raises what `EventFiles.read` does."""
        readers = [table.read(window) for table in self._tables]
        return pa.RecordBatchReader.from_batches(STREAM, (batch for reader in readers for batch in reader))

    def files(self, window: Window) -> list[Path]:
        """The files that hold the window's events."""
        return [path for table in self._tables for path in table.files(window)]

    def files_by_day(self, window: Window) -> dict[date, list[Path]]:
        """The files that hold each day's events."""
        found: dict[date, list[Path]] = {}
        for table in self._tables:
            for day, paths in table.files_by_day(window).items():
                found.setdefault(day, []).extend(paths)
        return found

    def check(self) -> None:
        """Raises `SourceError` where a table cannot be read."""
        for table in self._tables:
            table.check()
