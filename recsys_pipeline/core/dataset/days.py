"""Day and hour files: a stream of raw events becomes one immutable, sorted, digested Parquet file per period.

DuckDB judges and sorts the whole window once, spilling to disk; the sorted stream is then cut where periods end, so a
history of D days and N rows costs O(N log N + D), and memory does not grow with either.
"""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_pipeline.core.dataset.day_writer import (
    INTERACTIONS_FILE,
    QUARANTINE_FILE,
    ROW_GROUP,
    PeriodFile,
    PeriodsWriter,
)
from recsys_pipeline.core.dataset.events import WEB_LOG, EventMeaning
from recsys_pipeline.core.dataset.schema import (
    INTERACTIONS,
    check_columns,
    check_quarantine_share,
    interaction_reason,
    open_duckdb,
    select_columns,
)
from recsys_pipeline.core.errors import RecsysError, SettingError, SourceError
from recsys_pipeline.core.types import DAY, EPOCH, Window

__all__ = ["INTERACTIONS_FILE", "QUARANTINE_FILE", "PeriodFile", "write_periods"]

ROW_ORDER = (
    "timestamp, user_id, item_id, event, request_id, value desc, source_file, source_row, position, propensity, defect"
)


def write_periods(
    source: pa.RecordBatchReader,
    window: Window,
    directory: Path,
    *,
    period: timedelta = DAY,
    max_quarantine_share: float = 0.01,
    known_events: frozenset[str] | None = None,
    meaning: EventMeaning = WEB_LOG,
    threads: int = 2,
    memory_limit: str = "1GB",
) -> list[PeriodFile]:
    """Write `<directory>/<partition key>/{interactions,quarantine}.parquet` for each period of the window, in order.

    `period` is a day or an hour, UTC; one without events gets empty files. Of rows that repeat an event one stays, or
    all where `meaning` counts repeats. Rows with no timestamp inside the window go
    to the quarantine of its first period. Raises `SourceError` for wrong columns or where the stream breaks off, and
    `DataError` where more than `max_quarantine_share` of all rows break the contract; files written until then are the
    caller's to remove.
    """
    _check_whole_periods(window, period)
    check_columns(source.schema, INTERACTIONS, "interactions")
    spill = directory / ".spill"
    spill.mkdir(parents=True)
    writer = PeriodsWriter(directory, window, period, meaning)
    watched = _WatchedStream(source)
    try:
        with open_duckdb(memory_limit, spill, threads) as con:
            con.register("source", watched.reader())
            for batch in con.sql(_sorted_rows(source.schema, window, period, known_events)).to_arrow_reader(ROW_GROUP):
                writer.add(pa.Table.from_batches([batch]))
    except duckdb.Error:
        watched.raise_failure()
        raise
    finally:
        shutil.rmtree(spill)
    files = writer.close()
    total = sum(file.rows + file.quarantined + file.repeats for file in files)
    check_quarantine_share(sum(file.quarantined for file in files), total, writer.first_bad, max_quarantine_share)
    return files


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


def _sorted_rows(found: pa.Schema, window: Window, period: timedelta, known_events: frozenset[str] | None) -> str:
    first, length_us = (window.start - EPOCH) // period, period // timedelta(microseconds=1)
    start, end = (f"timestamptz '{edge.isoformat()}'" for edge in (window.start, window.end))
    inside = f"timestamp >= {start} and timestamp < {end}"
    # The hash is taken once and split here: md5_number_lower and _upper would each hash the text again.
    return f"""
        with judged as (
            select *, {interaction_reason(window, known_events)} as reason,
                   case when {inside} then epoch_us(timestamp) // {length_us} else {first} end::integer as period,
                   md5_number({ROW_TEXT}) as hash
            from (select {select_columns(found, INTERACTIONS)} from source))
        select * exclude (defect, hash), (hash & {2**64 - 1})::ubigint as low, (hash >> 64)::ubigint as high
        from judged order by period, {ROW_ORDER}
    """


class _WatchedStream:
    """Hands a stream to DuckDB and keeps what broke it, which DuckDB would reduce to a line of text."""

    def __init__(self, source: pa.RecordBatchReader) -> None:
        self.source = source
        self.failure: Exception | None = None
        self.rows = 0

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.source.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.source:
                self.rows += batch.num_rows
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
