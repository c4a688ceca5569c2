"""Both ends of a table's times: lone far rows there are found from few rows, which an index on the time gives."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql_database import ReadOnlyDatabase
from recsys_pipeline.adapters.sources.sql_tables import Rows, SqlSection
from recsys_pipeline.adapters.sources.sql_times import Clock
from recsys_pipeline.core.dataset.far_days import WAY_OUT, Body, body_of, lone_rows, refuse_pause
from recsys_pipeline.core.dataset.schema import FILED_AT
from recsys_pipeline.core.time import Window

EDGE_ROWS = 1_000
"""Rows that are looked at from either end: more are no mistake of a few rows."""


class TimeEdges:
    """The first and the last rows of a table of events, by their raw times."""

    def __init__(self, database: ReadOnlyDatabase, section: SqlSection, clock: Clock) -> None:
        self.database = database
        self.section = section
        self.clock = clock

    def body(self, window: Window, span: tuple[date, date], max_gap_days: int, has_first_day: bool) -> Body:
        """The days from the first to the last of `span` without lone far ones.

        Raises `SourceError` where rows near an end that are no lone ones lie years away from the next.
        """
        if (span[1] - span[0]).days <= max_gap_days:
            return Body(*span, {})
        column = self.clock.column
        early, late = (self._days(window, order) for order in (column.asc(), column.desc()))
        if early.total() < EDGE_ROWS:
            return body_of(early, max_gap_days, has_first_day)
        first_days, last_days = sorted(early.items()), sorted(late.items(), reverse=True)
        total = self._rows(window)
        start = 0 if has_first_day else lone_rows(first_days, total, max_gap_days)
        end = lone_rows(last_days, total, max_gap_days)
        for (day, _), (following, _) in () if has_first_day else pairwise(first_days[start:]):
            refuse_pause(day, following, max_gap_days)
        return Body(first_days[start][0], last_days[end][0], dict(first_days[:start] + last_days[:end]))

    def _days(self, window: Window, order: sa.UnaryExpression) -> Counter[date]:
        """Rows by day of the first `EDGE_ROWS` in this order; what is no time is left to the quarantine."""
        statement = sa.select(self.clock.column).select_from(self.section.origin).where(self.clock.inside(window))
        found: Counter[date] = Counter()
        for rows in self.database.stream(statement.order_by(order).limit(EDGE_ROWS), EDGE_ROWS, self.section.place):
            days = (self._day(row[0]) for row in rows)
            found.update(day for day in days if day is not None)
        return found

    def _day(self, value: object) -> date | None:
        try:
            return self.clock.day(value)
        except ValueError:
            return None

    def _rows(self, window: Window) -> int:
        """How many rows there are, as far as that matters for what is few among them."""
        some = sa.select(sa.literal(1)).select_from(self.section.origin).where(self.clock.inside(window))
        statement = sa.select(sa.func.count()).select_from(some.limit(100 * EDGE_ROWS).subquery())
        return int(self.database.first(statement, self.section.place))


def stray_rows(body: Body | None, clock: Clock) -> sa.ColumnElement[bool]:
    """Rows that lie in no window: without a readable time, or lone and far."""
    conditions = [clock.unreadable()]
    if body and body.before:
        conditions.append(clock.column < clock.edge(_midnight(body.first)))
    if body and body.after:
        conditions.append(clock.inside(Window(_midnight(body.last + timedelta(days=1)), datetime.now(UTC))))
    return sa.or_(*conditions)


def with_stray_times_told(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows whose time can be read, and lies far from all others, with that as their defect; no day claims them."""
    at = batch.schema.get_field_index("defect")
    told = zip(batch.column(at).to_pylist(), batch.column("timestamp").cast(pa.string()).to_pylist(), strict=True)
    far = f"lies months away from all other rows; {WAY_OUT}"
    defects = [why or (None if moment is None else f"timestamp {moment} {far}") for why, moment in told]
    marked = batch.set_column(at, batch.schema.field(at), pa.array(defects, pa.string()))
    return marked.append_column(FILED_AT, pa.nulls(batch.num_rows, FILED_AT.type))


def filed(batch: pa.RecordBatch, rows: Rows, clock: Clock, window: Window) -> pa.RecordBatch:
    """Rows of a window: text that sorts into it and is no time (`2026-03-01 soon`) is filed under its date."""
    unread = batch.column("timestamp").is_null().to_numpy(zero_copy_only=False)
    moments: list[datetime | None] = [None] * batch.num_rows
    for row in np.flatnonzero(unread).tolist():
        try:
            moment = _midnight(clock.day(rows[row].timestamp))
        except ValueError:
            moment = window.start
        moments[row] = moment if window.start <= moment < window.end else window.start
    return batch.append_column(FILED_AT, pa.array(moments, FILED_AT.type))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
