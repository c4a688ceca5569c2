"""Cuts a sorted stream of judged events where days or hours end and writes the two files of each, with its digest."""

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.core.dataset.events import EXPOSURE, EventMeaning
from recsys_pipeline.core.dataset.schema import FILED_AT, INTERACTIONS, QUARANTINE, quarantine_rows
from recsys_pipeline.core.dataset.shares import Tally
from recsys_pipeline.core.dataset.undated import bad_by_file, files_of
from recsys_pipeline.core.time import DAY, EPOCH, HOUR_KEY, Window

INTERACTIONS_FILE = "interactions.parquet"
QUARANTINE_FILE = "quarantine.parquet"
UNDATED_FILE = ".undated.parquet"
"""Rows that no period of the window can claim, until it is known which are new."""
EVENT_KEY = ("user_id", "item_id", "event", "timestamp", "request_id")
"""Rows that agree in these are one event, unless the source says otherwise; the one of the largest value stays."""
ROW_GROUP = 131_072


@dataclass(frozen=True)
class PeriodFile:
    """One written day or hour. Paths are relative to the directory given to `write_periods`.

    `digest` identifies the rows as a multiset: it does not depend on their order, on the Parquet encoding, or on
    the window with which the period was read. `rows` excludes `quarantined` and `repeats`.
    """

    start: datetime
    partition: str
    """Its key: `2026-01-05` or `2026-01-05-13:00`; names its folder."""
    path: Path
    rows: int
    digest: str
    quarantine_path: Path
    quarantined: int
    repeats: int = 0
    """Rows that say once more what another row says, and are no events of their own."""
    without_time: int = 0
    """Of the quarantined those that no day could claim by a time: the last rows of the quarantine."""
    source_mark: str = ""
    """Digest of all rows, good and bad, as the source gave them, but for those without a time."""

    @property
    def day(self) -> date:
        """The calendar day in which it lies."""
        return self.start.date()

    @property
    def given(self) -> int:
        """Rows that the source gave for it, whatever became of them."""
        return self.rows + self.quarantined + self.repeats


def digest_rows(count: int, low: int, high: int) -> str:
    """Digest of a multiset of rows from their number and the sums, modulo 2^64, of both halves of their MD5s.

    Sums do not depend on order; the count and two independent halves make an accidental match of different
    contents about as likely as a collision of 128-bit hashes.
    """
    return hashlib.sha256(f"{count}:{low}:{high}".encode()).hexdigest()


class ParquetStream:
    """A Parquet file with row groups of one size, however its rows arrive, so that its bytes repeat."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self.path = path
        self.schema = schema
        self.writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.waiting: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        self.waiting.append(rows)
        if sum(part.num_rows for part in self.waiting) >= ROW_GROUP:
            table = pa.concat_tables(self.waiting)
            whole = table.num_rows // ROW_GROUP * ROW_GROUP
            self.writer.write_table(table.slice(0, whole), row_group_size=ROW_GROUP)
            self.waiting = [table.slice(whole)]

    def close(self) -> None:
        table = pa.concat_tables([self.schema.empty_table(), *self.waiting])
        if table.num_rows:
            self.writer.write_table(table, row_group_size=ROW_GROUP)
        self.writer.close()


@dataclass
class _Period:
    """The day or hour that is being written: its two files and the sums of its digest."""

    clean: ParquetStream
    quarantine: ParquetStream
    sums: np.ndarray = field(default_factory=lambda: np.zeros(2, np.uint64))
    last: pa.Table | None = None
    repeats: int = 0
    tally: Tally = field(default_factory=Tally)
    given: np.ndarray = field(default_factory=lambda: np.zeros(2, np.uint64))
    """The sums over all rows as the source gave them."""

    def add(self, rows: pa.Table, meaning: EventMeaning) -> pa.Table:
        """Write the next rows in canonical order; returns those that belong into the quarantine."""
        broken = rows.column("reason").is_valid().to_numpy()
        bad = rows.filter(pa.array(broken))
        clean = rows.filter(pa.array(~broken)) if broken.any() else rows
        copies = self._copies(clean)
        if meaning.repeats == "count":  # an item is shown once at a place of a list, however often that is logged
            copies &= meaning.signs(clean) == EXPOSURE
        self.repeats += int(copies.sum())
        clean = clean.filter(pa.array(~copies)) if copies.any() else clean
        self.sums += _hash_sums(clean)
        self.clean.add(clean.select(INTERACTIONS.names).cast(INTERACTIONS))
        return bad

    def _copies(self, rows: pa.Table) -> np.ndarray:
        """True where a row has the event key of the row before it; equal keys are adjacent in canonical order."""
        keys = rows.select(EVENT_KEY)
        if self.last is not None:
            keys = pa.concat_tables([self.last, keys])
        times = keys.column("timestamp").cast(pa.int64()).to_numpy()
        same = np.flatnonzero(times[1:] == times[:-1]) + 1
        for name in ("user_id", "item_id", "event", "request_id"):
            column = keys.column(name)
            same = same[column.take(same).to_numpy() == column.take(same - 1).to_numpy()]
        copies = np.zeros(keys.num_rows, bool)
        copies[same] = True
        start = 0 if self.last is None else 1
        self.last = keys.slice(keys.num_rows - 1) if keys.num_rows else self.last
        return copies[start:]


def _hash_sums(rows: pa.Table) -> np.ndarray:
    return np.array([np.sum(rows.column(half).to_numpy(), dtype=np.uint64) for half in ("low", "high")])


class PeriodsWriter:
    """Takes the rows of a window in canonical order, through `add`, and keeps one day or hour open at a time.

    Rows carry the contract's columns, `source_file`, `source_row`, `reason`, `period` (their number since 1970, null
    for rows that no period can claim, which come last), and the halves of their hash, `low` and `high`.
    """

    def __init__(self, directory: Path, window: Window, period: timedelta, meaning: EventMeaning) -> None:
        self.directory = directory
        self.meaning = meaning
        self.period = period
        self.starts = window.periods(period)
        self.written: list[PeriodFile] = []
        self.tallies: dict[datetime, Tally] = {}
        self.open: tuple[datetime, _Period] | None = None
        self.undated = ParquetStream(directory / UNDATED_FILE, QUARANTINE)

    def add(self, rows: pa.Table) -> None:
        in_time = rows.num_rows - rows.column("period").null_count
        numbers = rows.column("period").slice(0, in_time).to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), in_time]
        for start, end in pairwise(cuts):
            if end > start:
                self._add_to(EPOCH + int(numbers[start]) * self.period, rows.slice(start, end - start))
        if in_time < rows.num_rows:
            self.undated.add(_put_aside(rows.slice(in_time)))

    def _add_to(self, start: datetime, rows: pa.Table) -> None:
        while self.open is None or self.open[0] < start:
            self._next()
        files = self.open[1]
        bad = files.add(rows, self.meaning)
        files.given += _hash_sums(rows)
        files.tally.rows.update(files_of(rows))
        if bad.num_rows:
            files.quarantine.add(_put_aside(bad))
            for count, first in bad_by_file(bad):
                files.tally.add_bad(count, first)

    def _next(self) -> bool:
        """Close the open period and open the next; False after the last."""
        if self.open is not None:
            self.written.append(self._closed(*self.open))
            self.open = None
        start = next(self.starts, None)
        if start is None:
            return False
        folder = self.directory / self._partition(start)
        folder.mkdir(parents=True)
        clean = ParquetStream(folder / INTERACTIONS_FILE, INTERACTIONS)
        self.open = (start, _Period(clean, ParquetStream(folder / QUARANTINE_FILE, QUARANTINE)))
        return True

    def _partition(self, start: datetime) -> str:
        return start.strftime("%Y-%m-%d" if self.period == DAY else HOUR_KEY)

    def _closed(self, start: datetime, files: _Period) -> PeriodFile:
        files.clean.close()
        files.quarantine.close()
        self.tallies[start] = files.tally
        low, high = (int(half) for half in files.sums)
        partition = self._partition(start)
        return PeriodFile(
            start=start,
            partition=partition,
            path=Path(partition) / INTERACTIONS_FILE,
            rows=files.clean.rows,
            digest=digest_rows(files.clean.rows, low, high),
            quarantine_path=Path(partition) / QUARANTINE_FILE,
            quarantined=files.quarantine.rows,
            repeats=files.repeats,
            source_mark=digest_rows(files.tally.rows.total(), *(int(half) for half in files.given)),
        )

    def close(self) -> list[PeriodFile]:
        while self._next():
            pass
        self.undated.close()
        return self.written


def _put_aside(bad: pa.Table) -> pa.Table:
    return quarantine_rows(bad.drop_columns(["period", "low", "high", FILED_AT.name]))
