"""A database as a source: any that SQLAlchemy reaches, read only, a day or an hour at a time.

The tables stay where they are. A window is a range of the raw time column, so that an index on it serves; rows come
from a cursor on the server in batches, so that memory does not grow with the table. Whether a window has changed is
told by its number of rows and its greatest watermark, a column that grows with every insert and update: an index on
(time, watermark) answers that alone. A row that comes late, or changes, makes its window stale.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.declared_meaning import declared_meaning
from recsys_pipeline.adapters.sources.root_folder import read_image
from recsys_pipeline.adapters.sources.sql_config import SqlConfig, SqlInteractions, SqlTable, load_sql_config
from recsys_pipeline.adapters.sources.sql_database import ReadOnlyDatabase
from recsys_pipeline.adapters.sources.sql_edges import TimeEdges, filed, stray_rows, with_stray_times_told
from recsys_pipeline.adapters.sources.sql_tables import Rows, SqlSection, interaction_batch, item_table, look_table
from recsys_pipeline.adapters.sources.sql_times import Clock, wrong_unit
from recsys_pipeline.core.dataset.far_days import Body
from recsys_pipeline.core.dataset.schema import FILED_AT, INTERACTIONS, TRACE
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window

STREAM = pa.schema([field.with_nullable(True) for field in [*INTERACTIONS, *TRACE]])
DELIVERED = STREAM.append(FILED_AT)


class SqlSource:
    """A `Source` over a database, described by a `SqlConfig`; see `conf/sources/sql-shop.toml` for an example."""

    def __init__(self, config: SqlConfig) -> None:
        self.config = config
        self.name = config.name
        self.tables = [name for name in ("interactions", "items", "looks") if getattr(config, name)]
        self.provides: frozenset[str] = frozenset([*self.tables, *(["item_images"] if config.has_item_images else [])])
        self.database = ReadOnlyDatabase(config.url, config.name)

    @property
    def meaning(self) -> SourceMeaning:
        """From `[events]` and `[interactions]`; another server, database or table is another source."""
        config = self.config
        url = sa.make_url(config.url.get_secret_value())
        place = [url.get_backend_name(), url.host, url.port, url.database]
        origin = json.dumps([*place, config.interactions.table if config.interactions else ""])
        return declared_meaning(config.interactions, config.events, origin, config.moved_from)

    @classmethod
    def from_toml(cls, path: Path) -> "SqlSource":
        """Raises `SettingError` for a config that is missing or wrong; the database is not asked yet."""
        return cls(load_sql_config(path))

    def days(self) -> DayRange:
        """From the day of the first row; without end, or (`ends`) to the day of the last row that is not in the future.

        Raises `SourceError` where there is no row with a time.
        """
        if self.config.interactions is None:
            assert self.config.first_day is not None  # SqlConfig sees to it
            return DayRange(self.config.first_day, None)
        body = self._body()
        if body is None:
            since = f" since first_day = {self.config.first_day}" if self.config.first_day else ""
            raise SourceError(
                f"{self._events.place} has no row with a time up to today{since}: check interactions.columns.timestamp "
                f"and interactions.time_unit of source {self.name}"
            )
        return DayRange(body.first, body.last if self.config.ends else None)

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window; a value that is not of its column's type makes its row a defect.

        Rows without a usable time come with every window. Raises `SourceError`, before or while streaming.
        """
        return pa.RecordBatchReader.from_batches(DELIVERED, self._stream(window))

    def items(self, as_of: datetime) -> pa.Table:
        """The catalogue as it is now, without items whose `created_at` is at or after `as_of`."""
        section, config = self._section("items"), self.config.items
        assert config is not None
        rows = self._batches(section.select(), section)
        return item_table(rows, section, self._item_clock(), config.category_separator, as_of)

    def looks(self, as_of: datetime) -> pa.Table:  # noqa: ARG002 - tables of looks carry no time
        """All scene-product pairs as they are now."""
        section = self._section("looks")
        return look_table(self._batches(section.select(), section), section)

    def image(self, reference: str) -> bytes:
        """Bytes of a file below `root`; anything that leads out of it is refused."""
        if self.config.root is None:
            raise SourceError(f"source {self.name} has no images: set root to the folder of image {reference!r}")
        return read_image(self.config.root, reference)

    def check(self) -> None:
        """Ask for the columns of every table, what its times are, and one row of it.

        Raises `SourceError` naming the table where it cannot be read, lacks a column or has other times.
        """
        if self.config.interactions is not None:
            self.days()
        for name in sorted(self.tables):
            section = self._section(name)
            self.database.first(section.select().limit(1), section.place)
        self._item_clock()

    def far_days(self) -> str:
        """Lone far days of events, in words."""
        body = self._body()
        return body.told() if body else ""

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        """Digest of the section, and of the number of rows (in the window) and their greatest watermark.

        How many rows have it, and how many have any, counts too: of a watermark in whole seconds, rows that change in
        the very second of a reading, and of one that is null at first, those whose first change comes late. Without a
        watermark only the number of rows tells.
        """
        section = self._section(table)
        condition = self._clock.inside(window) if table == "interactions" else sa.true()
        document = [section.config.model_dump(mode="json"), [self._marks(section, condition)]]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def count(self, window: Window) -> int:
        """Rows with a time in the window."""
        statement = sa.select(sa.func.count()).select_from(self._events.origin).where(self._clock.inside(window))
        return int(self.database.first(statement, self._events.place))

    def _marks(self, section: SqlSection, where: sa.ColumnElement[bool]) -> list[Any]:
        """Number of rows; and those with a watermark, the greatest as text, and how many have that."""
        seen = self.database.row(marks_of(section, where), section.place)
        return [str(mark.astimezone(UTC) if isinstance(mark, datetime) and mark.tzinfo else mark) for mark in seen]

    def _stream(self, window: Window) -> Iterator[pa.RecordBatch]:
        section = self._events
        for is_stray, condition in enumerate([self._clock.inside(window), stray_rows(self._known_body, self._clock)]):
            for rows in self._batches(section.select().where(condition), section):
                batch = interaction_batch(rows, section, self._clock, self._interactions, STREAM)
                yield with_stray_times_told(batch) if is_stray else filed(batch, rows, self._clock, window)

    def _batches(self, statement: sa.Select[*tuple[Any, ...]], section: SqlSection) -> Iterator[Rows]:
        return self.database.stream(statement, self.config.batch_rows, section.place)

    @cached_property
    def _known_body(self) -> Body | None:
        """The body, found once: only rows without a usable time depend on it."""
        return self._body()

    def _body(self) -> Body | None:
        """The days of the events up to today, without lone far ones; none where there is no row with a time."""
        first, now = self.config.first_day, datetime.now(UTC)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        window = Window(datetime.combine(first, time(), UTC) if first else self._clock.first, tomorrow)
        span = self._span(window)
        if span is None:
            return None
        return TimeEdges(self.database, self._events, self._clock).body(
            window, span, self._interactions.max_gap_days, first is not None
        )

    def _span(self, window: Window) -> tuple[date, date] | None:
        """First and last day with rows in the window; each bound by itself, as an index gives it."""
        section, clock = self._events, self._clock
        bounds = [
            sa.select(bound(clock.column)).select_from(section.origin).where(clock.inside(window)).scalar_subquery()
            for bound in (sa.func.min, sa.func.max)
        ]
        first, last = self.database.row(sa.select(*bounds), section.place)
        try:
            return None if first is None else (clock.day(first), clock.day(last))
        except ValueError:
            raise SourceError(
                f"{section.place} has times from {first!r} to {last!r}: check interactions.time_unit of {self.name}"
            ) from None

    @property
    def _interactions(self) -> SqlInteractions:
        if self.config.interactions is None:
            raise SourceError(f"source {self.name} declares no [interactions]")
        return self.config.interactions

    @cached_property
    def _events(self) -> SqlSection:
        return self._section("interactions")

    @cached_property
    def _clock(self) -> Clock:
        config = self._interactions
        first = datetime(config.first_year, 1, 1, tzinfo=UTC)
        return self._clock_of(self._events, "timestamp", config.time_unit, config.time_separator, first)

    def _item_clock(self) -> Clock | None:
        config = self.config.items
        if config is None or config.columns.created_at is None:
            return None
        first = datetime(1, 1, 2, tzinfo=UTC)  # what the catalogue holds may be old
        return self._clock_of(self._section("items"), "created_at", config.time_unit, " ", first)

    def _section(self, name: str) -> SqlSection:
        config: SqlTable | None = getattr(self.config, name)
        if config is None:
            raise SourceError(f"source {self.name} declares no [{name}]")
        if name not in self._checked:
            self._checked[name] = SqlSection.checked(name, config, self.database)
        return self._checked[name]

    @cached_property
    def _checked(self) -> dict[str, SqlSection]:
        """Sections whose tables and columns were found; each is looked for once."""
        return {}

    def _clock_of(self, section: SqlSection, name: str, unit: Any, separator: str, first: datetime) -> Clock:
        """How a time column is read; what kind of timestamps it holds is told by one of them."""
        column = sa.column(section.columns[name])
        dialect = self.database.dialect
        sample = self.database.first(
            sa.select(column).select_from(section.origin).where(column.is_not(None)).limit(1), section.place
        )
        wrong = wrong_unit(sample, unit, dialect) if sample is not None else ""
        if wrong:
            raise SourceError(
                f"column {section.columns[name]} of {section.place} {wrong}: [{section.name}] of {self.name}"
            )
        is_aware = isinstance(sample, datetime) and sample.tzinfo is not None
        return Clock(column, unit, separator, is_aware, first)


def marks_of(section: SqlSection, where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """What tells a change without the rows: counts and the greatest watermark; an index on (time, watermark) serves."""
    if not section.config.watermark:
        return sa.select(sa.func.count()).select_from(section.origin).where(where)
    mark = sa.column(section.config.watermark)
    greatest = sa.select(sa.func.max(mark)).select_from(section.origin).where(where).scalar_subquery()
    with_it = sa.select(sa.func.count()).select_from(section.origin).where(where, mark == greatest).scalar_subquery()
    seen = sa.func.count(), sa.func.count(mark), sa.func.max(mark), with_it
    return sa.select(*seen).select_from(section.origin).where(where)
