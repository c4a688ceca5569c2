"""Day and hour files: a stream of raw events becomes one immutable, sorted, digested Parquet file per period.

DuckDB judges and sorts the whole window once, spilling to disk; the sorted stream is then cut where periods end, so a
history of D days and N rows costs O(N log N + D), and memory does not grow with either.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from recsys_pipeline.core.dataset.day_writer import (
    INTERACTIONS_FILE,
    QUARANTINE_FILE,
    ROW_GROUP,
    PeriodFile,
    PeriodsWriter,
    digest_rows,
)
from recsys_pipeline.core.dataset.events import WEB_LOG, EventMeaning
from recsys_pipeline.core.dataset.judgement import Written, judged
from recsys_pipeline.core.dataset.schema import (
    FILED_AT,
    INTERACTIONS,
    check_columns,
    interaction_reason,
    open_duckdb,
    select_columns,
)
from recsys_pipeline.core.dataset.undated import Undated
from recsys_pipeline.core.errors import DataError, RecsysError, SettingError, SourceError
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.time import DAY, EPOCH, HOUR, Window

__all__ = ["INTERACTIONS_FILE", "QUARANTINE_FILE", "PeriodFile", "Written", "write_good_periods", "write_periods"]

ROW_ORDER = (
    "timestamp, user_id, item_id, event, request_id, value desc, source_file, source_row, position, propensity, defect"
)


def write_periods(
    source: pa.RecordBatchReader, window: Window, directory: Path, *, max_quarantine_share: float = 0.01, **options: Any
) -> list[PeriodFile]:
    """Write every period of the window as `write_good_periods` does; `DataError` for the first that is refused."""
    written = write_good_periods(source, window, directory, max_quarantine_share=max_quarantine_share, **options)
    for why in written.refused.values():
        raise DataError(why)
    return written.files


def write_good_periods(
    source: pa.RecordBatchReader,
    window: Window,
    directory: Path,
    *,
    period: timedelta = DAY,
    max_quarantine_share: float = 0.01,
    known_events: frozenset[str] | None = None,
    undated: Undated | None = None,
    meaning: EventMeaning = WEB_LOG,
    threads: int = 2,
    memory_limit: str = "1GB",
    progress: Progress | None = None,
) -> Written:
    """Write `<directory>/<partition key>/{interactions,quarantine}.parquet` for each period of the window, in order.

    `period` is a day or an hour, UTC; one without events gets empty files. Of rows that repeat an event one stays, or
    all where `meaning` counts repeats. A bad row goes to the quarantine of its period: that of its time, or of its
    `filed_at` where its own time cannot be used. Rows with neither are `undated`: those that no other day holds go to
    the quarantine of the window's last period. `progress` is told, batch by batch, of rows read and of periods written.

    Each period is judged by its own share of bad rows, and each file by its share over the periods that pass: one that
    is clearly bad is refused, its files are removed, and the others stay. Raises `DataError` where the rest has more
    than `max_quarantine_share` of bad rows, and `SourceError` for wrong columns or where the stream breaks off; files
    written until then are the caller's to remove.
    """
    _check_whole_periods(window, period)
    check_columns(source.schema, INTERACTIONS, "interactions")
    spill = directory / ".spill"
    spill.mkdir(parents=True)
    writer = PeriodsWriter(directory, window, period, meaning)
    watched, n_periods = _WatchedStream(source, progress), len(list(window.periods(period)))
    try:
        with open_duckdb(memory_limit, spill, threads) as con:
            con.register("source", watched.reader())
            for batch in con.sql(_sorted_rows(source.schema, window, period, known_events)).to_arrow_reader(ROW_GROUP):
                writer.add(pa.Table.from_batches([batch]))
                if progress is not None:
                    progress(
                        "written",
                        {"days" if period == DAY else "hours": float(len(writer.written)), "of": float(n_periods)},
                    )
    except duckdb.Error:
        watched.raise_failure()
        raise
    finally:
        shutil.rmtree(spill)
    files = writer.close()
    return judged(directory, files, writer.tallies, undated or Undated(), max_quarantine_share)


@dataclass(frozen=True)
class DayMark:
    """What tells whether a source gives the same rows for a day as before."""

    rows: int
    digest: str
    """As `PeriodFile.source_mark`."""


def day_marks(source: pa.RecordBatchReader, window: Window) -> dict[date, DayMark]:
    """The mark of each day of the window, without keeping a row; rows that no day can claim have no part in any."""
    watched = _WatchedStream(source)
    try:
        with open_duckdb() as con:
            con.register("source", watched.reader())
            found = con.sql(
                f"""
                select period, count(*), sum((hash & {2**64 - 1})::ubigint), sum((hash >> 64)::ubigint)
                from (select {_period_sql(window, DAY)} as period, md5_number({ROW_TEXT}) as hash
                      from (select {select_columns(source.schema, INTERACTIONS)} from source))
                where period is not null group by period
                """
            ).fetchall()
    except duckdb.Error:
        watched.raise_failure()
        raise
    marks = {day: DayMark(0, digest_rows(0, 0, 0)) for day in window.days()}
    for period, rows, low, high in found:
        sums = (int(half) % 2**64 for half in (low, high))
        marks[(EPOCH + period * DAY).date()] = DayMark(rows, digest_rows(rows, *sums))
    return marks


def _row_text() -> str:
    parts = []
    for column in INTERACTIONS:
        if pa.types.is_string(column.type):
            parts += [f"strlen({column.name})", "':'", column.name]
        else:
            parts += [f"epoch_us({column.name})" if pa.types.is_timestamp(column.type) else column.name, "','"]
    return f"concat({', '.join(parts)})"


ROW_TEXT = _row_text()
"""SQL that writes an interaction as unambiguous text: strings carry their length, nulls have none."""


def _check_whole_periods(window: Window, period: timedelta) -> None:
    name, edge_name = ("day", "midnight") if period == DAY else ("hour", "full hour")
    for edge in (window.start, window.end):
        if (edge - EPOCH) % period:
            raise SettingError(
                f"{name} files need whole {name}s, and the window's edge {edge.isoformat()} is not a {edge_name}"
            )


def _period_sql(window: Window, period: timedelta) -> str:
    """SQL: the number since 1970 of the period that claims a row, null where none of the window does."""
    start, end = (f"timestamptz '{edge.isoformat()}'" for edge in (window.start, window.end))
    claims = [
        f"when {time} >= {start} and {time} < {end} then epoch_us({time})" for time in (FILED_AT.name, "timestamp")
    ]
    if period == HOUR:
        # A source that gives rows of another time with an hour is told so there; the batch of a day keeps such rows.
        claims.append(f"when defect is null and timestamp is not null then epoch_us({start})")
    return f"(case {' '.join(claims)} end // {period // timedelta(microseconds=1)})::integer"


def _sorted_rows(found: pa.Schema, window: Window, period: timedelta, known_events: frozenset[str] | None) -> str:
    # The hash is taken once and split here: md5_number_lower and _upper would each hash the text again.
    return f"""
        with judged as (
            select *, {interaction_reason(window, known_events)} as reason,
                   {_period_sql(window, period)} as period,
                   md5_number({ROW_TEXT}) as hash
            from (select {select_columns(found, INTERACTIONS)} from source))
        select * exclude (defect, hash), (hash & {2**64 - 1})::ubigint as low, (hash >> 64)::ubigint as high
        from judged order by period nulls last, {ROW_ORDER}
    """


class _WatchedStream:
    """Hands a stream to DuckDB and keeps what broke it, which DuckDB would reduce to a line of text."""

    def __init__(self, source: pa.RecordBatchReader, progress: Progress | None = None) -> None:
        self.source, self.progress = source, progress
        self.failure: Exception | None = None
        self.rows = 0

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.source.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.source:
                self.rows += batch.num_rows
                if self.progress is not None:
                    self.progress("read", {"rows": float(self.rows)})
                yield batch
        except Exception as error:
            self.failure = error
            raise

    def raise_failure(self) -> None:
        """Raise the source's own error where it is one of ours, else one that says how far the stream came."""
        if isinstance(self.failure, RecsysError):
            raise self.failure
        if self.failure is not None:
            raise SourceError(
                f"the source stopped after {self.rows} rows: {self.failure}; no day of this window may be used"
            ) from self.failure
