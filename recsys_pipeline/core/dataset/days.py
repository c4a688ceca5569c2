"""Day files: a stream of raw events becomes one immutable, sorted, digested Parquet file per calendar day.

DuckDB judges and sorts the whole window once, spilling to disk; the sorted stream is then cut at midnights, so a
history of D days and N rows costs O(N log N + D), and memory does not grow with either.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, time
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_pipeline.core.dataset.day_writer import (
    EPOCH,
    INTERACTIONS_FILE,
    QUARANTINE_FILE,
    ROW_GROUP,
    DayFile,
    DaysWriter,
)
from recsys_pipeline.core.dataset.schema import (
    INTERACTIONS,
    check_columns,
    check_quarantine_share,
    interaction_reason,
    open_duckdb,
    select_columns,
)
from recsys_pipeline.core.errors import RecsysError, SettingError, SourceError
from recsys_pipeline.core.types import Window

__all__ = ["INTERACTIONS_FILE", "QUARANTINE_FILE", "DayFile", "write_days"]

ROW_ORDER = (
    "timestamp, user_id, item_id, event, request_id, source_file, source_row, value, position, propensity, defect"
)


def write_days(
    source: pa.RecordBatchReader,
    window: Window,
    directory: Path,
    *,
    max_quarantine_share: float = 0.01,
    known_events: frozenset[str] | None = None,
    threads: int = 2,
    memory_limit: str = "1GB",
) -> list[DayFile]:
    """Write `<directory>/<YYYY-MM-DD>/{interactions,quarantine}.parquet` for each day of the window, in order.

    Days without events get empty files. Rows with no timestamp inside the window go to the quarantine of its
    first day. Raises `SourceError` for wrong columns or where the stream breaks off, and `DataError` where more
    than `max_quarantine_share` of all rows break the contract; files written until then are the caller's to remove.
    """
    _check_whole_days(window)
    check_columns(source.schema, INTERACTIONS, "interactions")
    spill = directory / ".spill"
    spill.mkdir(parents=True)
    writer = DaysWriter(directory, window)
    watched = _WatchedStream(source)
    try:
        with open_duckdb(memory_limit, spill, threads) as con:
            con.register("source", watched.reader())
            for batch in con.sql(_sorted_rows(source.schema, window, known_events)).to_arrow_reader(ROW_GROUP):
                writer.add(pa.Table.from_batches([batch]))
    except duckdb.Error:
        watched.raise_failure()
        raise
    finally:
        shutil.rmtree(spill)
    days = writer.close()
    total = sum(day.rows + day.quarantined for day in days)
    check_quarantine_share(sum(day.quarantined for day in days), total, writer.first_bad, max_quarantine_share)
    return days


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


def _check_whole_days(window: Window) -> None:
    for edge in (window.start, window.end):
        if edge.timetz() != time(tzinfo=UTC):
            raise SettingError(f"day files need whole days, and the window's edge {edge.isoformat()} is not a midnight")


def _sorted_rows(found: pa.Schema, window: Window, known_events: frozenset[str] | None) -> str:
    first = (window.start.date() - EPOCH).days
    start, end = (f"timestamptz '{edge.isoformat()}'" for edge in (window.start, window.end))
    inside = f"timestamp >= {start} and timestamp < {end}"
    # The hash is taken once and split here: md5_number_lower and _upper would each hash the text again.
    return f"""
        with judged as (
            select *, {interaction_reason(window, known_events)} as reason,
                   case when {inside} then epoch_us(timestamp) // 86400000000 else {first} end::integer as day,
                   md5_number({ROW_TEXT}) as hash
            from (select {select_columns(found, INTERACTIONS)} from source))
        select * exclude (defect, hash), (hash & {2**64 - 1})::ubigint as low, (hash >> 64)::ubigint as high
        from judged order by day, {ROW_ORDER}
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
