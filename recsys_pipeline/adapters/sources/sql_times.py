"""Times of a SQL table: conditions on the raw column, which an index serves, and its values as UTC.

A naive timestamp is taken as UTC, an aware one is brought to UTC; text and numbers are UTC. A table that holds local
time needs a query that says so (`at time zone 'Europe/Berlin'`).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql_values import Converted, Values, each, kinds_of
from recsys_pipeline.core.dataset.schema import TIMESTAMP
from recsys_pipeline.core.time import Window, microseconds

Unit = Literal["native", "s", "ms", "us", "iso"]
PER_UNIT_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
YEAR_9999_US = 253_402_300_799_999_999
UTC_TEXT = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|\+00(:?00)?)?")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wrong_unit(sample: Any, unit: Unit, dialect: str) -> str:
    """What `time_unit` should be, where a value of the column shows that it is another; else empty."""
    if isinstance(sample, str) and (unit == "native" or dialect != "sqlite") and unit != "iso":
        return 'holds text: set time_unit = "iso" (and time_separator)'
    if isinstance(sample, int | float | Decimal) and (unit == "native" or (dialect != "sqlite" and unit == "iso")):
        return "holds numbers: set time_unit to s, ms or us"
    if isinstance(sample, date) and unit != "native":
        return 'holds timestamps: set time_unit = "native"'
    if unit == "native" and not isinstance(sample, date):
        return f"holds {type(sample).__name__}, and no time"
    return ""


@dataclass(frozen=True)
class Clock:
    """How the times of one column are compared and read."""

    column: sa.ColumnElement[Any]
    unit: Unit
    separator: str
    is_aware: bool
    """Whether the driver's timestamps carry their offset (`native` only)."""
    first: datetime = EPOCH
    """Times before it cannot be: `01-12-10` is no year 1."""

    def inside(self, window: Window) -> sa.ColumnElement[bool]:
        """`start <= column < end`, on the raw column."""
        return sa.and_(self.column >= self.edge(window.start), self.column < self.edge(window.end))

    def edge(self, instant: datetime) -> sa.ColumnElement[Any]:
        """An instant as the column holds it."""
        if self.unit == "native":
            return sa.literal(instant if self.is_aware else instant.replace(tzinfo=None), sa.DateTime(self.is_aware))
        if self.unit == "iso":
            # As short as may be: `10:00` sorts before `10:00:00`, and that before `10:00:00.000`, so that no row of the
            # very moment is before it, however it is written.
            is_minute = not (instant.second or instant.microsecond)
            text = instant.replace(tzinfo=None).isoformat(self.separator, "minutes" if is_minute else "auto")
            return sa.literal(text, sa.String())
        whole, rest = divmod(microseconds(instant), PER_UNIT_US[self.unit])
        exact = whole + rest / PER_UNIT_US[self.unit]
        return sa.literal(whole, sa.BigInteger()) if not rest else sa.literal(exact, sa.Double())

    def unreadable(self) -> sa.ColumnElement[bool]:
        """Rows that lie in no window: without a time, or with what sorts outside all times."""
        conditions = [self.column.is_(None), self.column < self.edge(self.first)]
        if self.unit in PER_UNIT_US:
            conditions.append(self.column > sa.literal(YEAR_9999_US // PER_UNIT_US[self.unit], sa.BigInteger()))
        elif self.unit == "iso":
            last = (
                f"9999-12-31{self.separator}23:59:59.999999Z"  # no bare sign: some collations sort signs before digits
            )
            conditions.append(self.column > sa.literal(last, sa.String()))
        return sa.or_(*conditions)

    def read(self, name: str, values: Values) -> Converted:
        """The column's values as UTC."""
        if self.unit in PER_UNIT_US:
            if kinds_of(values) <= {int}:
                scale = PER_UNIT_US[self.unit]
                if all(value is None or microseconds(self.first) <= value * scale <= YEAR_9999_US for value in values):
                    scaled = [None if value is None else value * scale for value in values]
                    return Converted(pa.array(scaled, pa.int64()).cast(TIMESTAMP), {})
            return each(name, values, self._number, TIMESTAMP, f"an epoch in {self.unit}")
        if self.unit == "iso":
            return each(
                name, values, self._text, TIMESTAMP, f"a time in UTC such as 2026-01-05{self.separator}10:00:00"
            )
        if kinds_of(values) <= {datetime} and all(value is None or _native(value) >= self.first for value in values):
            return Converted(pa.array(values, TIMESTAMP), {})  # Arrow brings aware ones to UTC, and takes naive ones so
        wanted = f"a timestamp since {self.first.year}"
        return each(name, values, lambda value: self._checked(_native(value)), TIMESTAMP, wanted)

    def day(self, value: Any) -> date:
        """The UTC day of one value; of text the date alone is read. Raises `ValueError` where there is none."""
        if self.unit == "iso":
            return date.fromisoformat(str(value)[:10])
        found = self.read("timestamp", (value,))
        if found.wrong:
            raise ValueError(found.wrong[0])
        return found.column[0].as_py().date()

    def _number(self, value: Any) -> datetime:
        if isinstance(value, bool | str):
            raise ValueError
        return self._checked(EPOCH + timedelta(microseconds=int(Decimal(value) * PER_UNIT_US[self.unit])))

    def _text(self, value: Any) -> datetime:
        match = UTC_TEXT.fullmatch(value)
        if match is None or match[1] != self.separator:
            raise ValueError
        found = datetime.fromisoformat(value[:-1] if value.endswith("Z") else value)
        return self._checked(found.replace(tzinfo=UTC))

    def _checked(self, found: datetime) -> datetime:
        if found < self.first:
            raise ValueError
        return found


def _native(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError
