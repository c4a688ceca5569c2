"""Rows of a database as the contract's tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql_config import SqlInteractions, SqlTable
from recsys_pipeline.adapters.sources.sql_database import ReadOnlyDatabase
from recsys_pipeline.adapters.sources.sql_times import Clock
from recsys_pipeline.adapters.sources.sql_values import (
    Converted,
    Values,
    defects,
    identifiers,
    lists,
    numbers,
    texts,
    truths,
    whole_numbers,
)
from recsys_pipeline.core.dataset.schema import ITEMS, LOOKS, TIMESTAMP, TRACE
from recsys_pipeline.core.errors import SourceError

Rows = list[sa.Row[Any]]
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class SqlSection:
    """A section of the TOML over a table or query that is known to have its columns."""

    name: str
    config: SqlTable
    origin: sa.FromClause
    columns: dict[str, str]
    """Column of the contract -> column of the table; those that are mapped, in the order in which they are selected."""

    @property
    def place(self) -> str:
        """What people call it in an error."""
        return f"table {self.config.table}" if self.config.table else f"the query of [{self.name}]"

    @property
    def file(self) -> str:
        """What stands as `source_file` in a quarantine."""
        return self.config.table or f"query of [{self.name}]"

    @classmethod
    def checked(cls, name: str, config: SqlTable, database: ReadOnlyDatabase) -> "SqlSection":
        """Raises `SourceError` naming a table or column that is not there, and what there is."""
        mapped = getattr(config, "columns").model_dump()  # noqa: B009 - every section has them, each its own
        columns = {column: found for column, found in mapped.items() if found is not None}
        section = cls(name, config, _origin(config), columns)
        try:
            known = database.columns(section.origin, section.place)
        except SourceError:
            schema, _, table = config.table.rpartition(".")
            there = database.tables(schema or None) if config.table else []
            if not config.table or table in there:
                raise
            raise SourceError(
                f"source {database.source} has no table {config.table} ([{name}] table); there are {', '.join(there)}"
            ) from None
        wanted = {f"columns.{column}": found for column, found in columns.items()}
        wanted |= {"watermark": config.watermark} if config.watermark else {}
        for key, found in wanted.items():
            if found not in known:
                raise SourceError(
                    f"{section.place} has no column {found!r} ({name}.{key}); its columns are {', '.join(known)}"
                )
        return section

    def select(self) -> sa.Select[*tuple[Any, ...]]:
        """All mapped columns, raw."""
        return sa.select(*(sa.column(found).label(name) for name, found in self.columns.items())).select_from(
            self.origin
        )

    def values(self, rows: Rows) -> dict[str, Values]:
        """Each mapped column's values."""
        return (
            dict(zip(self.columns, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(self.columns, ())
        )


def _origin(config: SqlTable) -> sa.FromClause:
    if config.query:
        plain = config.query.rstrip().rstrip(";").replace(":", r"\:")  # nothing in it is a parameter
        return sa.text(plain).columns().subquery("given")
    schema, _, name = config.table.rpartition(".")
    return sa.table(name, schema=schema or None)


def interaction_batch(
    rows: Rows, section: SqlSection, clock: Clock, config: SqlInteractions, schema: pa.Schema
) -> pa.RecordBatch:
    """Events, with a `defect` where a value is not of its column's type or an event has no value."""
    values, n = section.values(rows), len(rows)
    absent = (None,) * n
    found = {name: identifiers(name, values[name]) for name in ("user_id", "item_id")}
    found["request_id"] = texts("request_id", values.get("request_id", absent))
    event = texts("event", values["event"]) if "event" in values else Converted(pa.array([config.event] * n), {})
    found |= {"event": event, "timestamp": clock.read("timestamp", values["timestamp"])}
    found["value"] = numbers("value", values["value"], pa.float32()) if "value" in values else _given(event, config)
    found["position"] = whole_numbers("position", values.get("position", absent), pa.int32())
    found["propensity"] = numbers("propensity", values.get("propensity", absent), pa.float32())
    found["source_row"] = whole_numbers("source_row", values.get("source_row", absent), pa.int64())
    columns = {name: converted.column for name, converted in found.items()}
    columns |= {"source_file": pa.array([section.file] * n, pa.string()), "defect": defects(found, n)}
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _given(event: Converted, config: SqlInteractions) -> Converted:
    """The value that the TOML gives to each event."""
    names = event.column.to_pylist()
    wrong = {
        row: f"event {name!r} has no value: add it to interactions.values"
        for row, name in enumerate(names)
        if name and name not in config.values
    }
    return Converted(pa.array([config.values.get(name) for name in names], pa.float32()), wrong)


def item_table(
    batches: Iterator[Rows], section: SqlSection, clock: Clock | None, separator: str, as_of: datetime
) -> pa.Table:
    """The catalogue; items created at or after `as_of` are left out."""
    rows = [row for batch in batches for row in batch]
    values, n = section.values(rows), len(rows)
    absent = (None,) * n
    title = texts("title", values.get("title", absent))
    found = {
        "item_id": identifiers("item_id", values["item_id"]),
        "title": Converted(pc.fill_null(title.column, ""), title.wrong),
        "categories": lists("categories", values.get("categories", absent), separator),
        "price": numbers("price", values.get("price", absent), pa.float64()),
        "available": truths("available", values.get("available", absent)),
        "created_at": (
            clock.read("created_at", values["created_at"]) if clock else Converted(pa.nulls(n, TIMESTAMP), {})
        ),
        "image": texts("image", values.get("image", absent)),
    }
    table = _table(found, section, n, ITEMS)
    created = table.column("created_at").to_pylist()
    return table.filter(pa.array([moment is None or moment < as_of for moment in created], pa.bool_()))


def look_table(batches: Iterator[Rows], section: SqlSection) -> pa.Table:
    """Scene-product pairs; a box is there where all four of its sides are."""
    rows = [row for batch in batches for row in batch]
    values, n = section.values(rows), len(rows)
    names = ("scene_id", "product_id", "category", "scene_image", "product_image")
    found = {name: (identifiers if name.endswith("_id") else texts)(name, values[name]) for name in names}
    sides = [numbers(side, values.get(side, (None,) * n), pa.float32()) for side in SIDES]
    boxes = zip(*(side.column.to_pylist() for side in sides), strict=True)
    column = pa.array([None if None in box else list(box) for box in boxes], pa.list_(pa.float32()))
    found["bbox"] = Converted(column, {row: why for side in sides for row, why in side.wrong.items()})
    return _table(found, section, n, LOOKS)


def _table(found: dict[str, Converted], section: SqlSection, n: int, contract: pa.Schema) -> pa.Table:
    schema = pa.schema([field.with_nullable(True) for field in [*contract, *TRACE]])
    columns = {name: converted.column for name, converted in found.items()}
    columns |= {"source_file": pa.array([section.file] * n, pa.string()), "source_row": pa.nulls(n, pa.int64())}
    return pa.table({**columns, "defect": defects(found, n)}).select(schema.names).cast(schema)
