"""The contract that every table meets when it enters, and the quarantine for rows that break it.

A row is either kept exactly as the source gave it or put aside with a reason; nothing is coerced, nothing is
dropped in silence. Columns are checked first: a table with the wrong columns is no table of ours.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from recsys_pipeline.core.dataset.shares import check_quarantine_share
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.time import Window

TIMESTAMP = pa.timestamp("us", tz="UTC")


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


INTERACTIONS = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("item_id", pa.string()),
        _required("event", pa.string()),
        _required("value", pa.float32()),
        _required("timestamp", TIMESTAMP),
        pa.field("request_id", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("propensity", pa.float32()),
    ]
)
"""One row is an event. `nullable=False` marks what must be there; the other columns may be absent or null."""

ITEMS = pa.schema(
    [
        _required("item_id", pa.string()),
        _required("title", pa.string()),
        _required("categories", pa.list_(pa.string())),
        pa.field("price", pa.float64()),
        _required("available", pa.bool_()),
        pa.field("created_at", TIMESTAMP),
        pa.field("image", pa.string()),
    ]
)
"""One row is an item of the catalogue; `image` is a reference that the source's `image()` resolves."""

LOOKS = pa.schema(
    [
        _required("scene_id", pa.string()),
        _required("product_id", pa.string()),
        _required("category", pa.string()),
        _required("scene_image", pa.string()),
        _required("product_image", pa.string()),
        pa.field("bbox", pa.list_(pa.float32())),
    ]
)
"""One row says that a product stands in a scene; `bbox` is [left, top, right, bottom] as fractions of the scene."""

TRACE = pa.schema([("source_file", pa.string()), ("source_row", pa.int64()), ("defect", pa.string())])
"""Columns that a source may add so that a bad row can be found again."""

FILED_AT = pa.field("filed_at", TIMESTAMP)
"""Column that a source of interactions may add: for a row whose own time cannot be used, a moment of the day with which
it is put aside, such as that of its file. Rows that have neither are put aside by the day that reads them first."""

QUARANTINE = pa.schema(
    [("source_file", pa.string()), ("source_row", pa.int64()), ("reason", pa.string()), ("raw", pa.string())]
)
"""One row is a row that broke the contract: where it came from, why it is here, and itself as JSON."""


DUPLICATE = "duplicate"
"""How the reason of a row begins that repeats another's key."""


@dataclass(frozen=True)
class Checked:
    """A table split into the rows that meet the contract and those that do not."""

    clean: pa.Table
    quarantine: pa.Table

    def check_share(self, table: str, max_share: float) -> None:
        """Raise `DataError`, naming the first bad row, where more than `max_share` of the rows break the contract.

        Rows that repeat a key are put aside and counted, and break nothing: the first of them is there.
        """
        reasons = self.quarantine.column("reason").to_pylist()
        broken = [row for row, reason in enumerate(reasons) if not reason.startswith(DUPLICATE)]
        first = self.quarantine.slice(broken[0], 1).to_pylist()[0] if broken else None
        total = self.clean.num_rows + self.quarantine.num_rows
        try:
            check_quarantine_share(len(broken), total, first, max_share)
        except DataError as error:
            raise DataError(f"{table}: {error}") from None


def check_columns(found: pa.Schema, contract: pa.Schema, table: str) -> None:
    """Raise `SourceError` unless `found` has the contract's columns, each of its declared type.

    Optional columns and the trace columns may be absent. Large strings and lists of fixed size hold the same
    values as their plain twins and pass; anything else would need a cast, which is the source's to do.
    """
    known = {field.name: field for field in [*contract, *TRACE, *([FILED_AT] if contract is INTERACTIONS else [])]}
    missing = [field.name for field in contract if not field.nullable and field.name not in found.names]
    surplus = [name for name in found.names if name not in known]
    wrong = [
        f"{field.name} is {field.type} instead of {known[field.name].type}"
        for field in found
        if field.name in known and not _holds_the_same(field.type, known[field.name].type)
    ]
    if missing or surplus or wrong or len(set(found.names)) != len(found.names):
        expected = ", ".join(f"{field.name} {field.type}{' (optional)' * field.nullable}" for field in contract)
        raise SourceError(
            f"{table}: wrong columns: missing {missing}, unknown {surplus}, wrong type {wrong}; "
            f"found {found.names}; expected {expected}"
        )


def _holds_the_same(found: pa.DataType, declared: pa.DataType) -> bool:
    if pa.types.is_string(declared):
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    if pa.types.is_list(declared):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
        return is_list and _holds_the_same(found.value_type, declared.value_type)
    return found == declared


def select_columns(found: pa.Schema, contract: pa.Schema) -> str:
    """SQL select list with every column of the contract and of the trace, null where the source has none."""
    return ", ".join(
        field.name if field.name in found.names else f"cast(null as {_sql_type(field.type)}) as {field.name}"
        for field in [*contract, *TRACE, *([FILED_AT] if contract is INTERACTIONS else [])]
    )


def _sql_type(kind: pa.DataType) -> str:
    plain = {pa.string(): "varchar", pa.int32(): "integer", pa.int64(): "bigint", pa.float32(): "float"}
    plain |= {pa.float64(): "double", pa.bool_(): "boolean", TIMESTAMP: "timestamptz"}
    return f"{_sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else plain[kind]


def _case(rules: Iterable[tuple[str, str]]) -> str:
    """SQL that gives the reason of the first rule whose condition holds, or null."""
    return "case " + " ".join(f"when {condition} then {reason}" for condition, reason in rules) + " end"


def _empty(*columns: str) -> list[tuple[str, str]]:
    return [(f"coalesce({column}, '') = ''", f"'{column} is empty'") for column in columns]


def quoted(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def parquet_scan(files: str, *options: str) -> str:
    """SQL that reads Parquet; DuckDB would make a column of a folder `name=value`, and even replace the file's own."""
    return f"read_parquet({', '.join([files, 'hive_partitioning = false', *options])})"


def interaction_reason(window: Window, known_events: frozenset[str] | None = None) -> str:
    """SQL expression: why a row of interactions breaks the contract, or null.

    The window's end is where the future begins: nothing that happens at or after it may enter. Repeats
    are not seen here; `days.write_periods` finds them among the rows that pass. Only names in `known_events`
    are accepted where it is given.
    """
    start, end = (f"timestamptz '{edge.isoformat()}'" for edge in (window.start, window.end))
    instant = "'timestamp ' || timestamp"
    rules = [("defect is not null", "defect"), *_empty("user_id", "item_id", "event")]
    if known_events is not None:
        names = ", ".join(quoted(name) for name in sorted(known_events)) or "''"
        rules.append((f"event not in ({names})", "'event ''' || event || ''' is unknown'"))
    rules += [
        ("value is null", "'value is missing'"),
        ("not isfinite(value)", "'value ' || value || ' is not finite'"),
        ("timestamp is null", "'timestamp is missing'"),
        ("not isfinite(timestamp)", "'timestamp is not finite'"),
        (f"timestamp < {start}", f"{instant} || ' is before the window, which starts at {window.start.isoformat()}'"),
        (f"timestamp >= {end}", f"{instant} || ' is in the future: the window ends at {window.end.isoformat()}'"),
        ("position < 0", "'position ' || position || ' is negative'"),
        ("not (propensity > 0 and propensity <= 1)", "'propensity ' || propensity || ' is not in (0, 1]'"),
    ]
    return _case(rules)


def validate_items(items: pa.Table, as_of: datetime) -> Checked:
    """Split a catalogue; of several rows with one id the first stays. Clean rows are sorted by `item_id`.

    Raises `SourceError` on wrong columns.
    """
    created = f"created_at >= timestamptz '{as_of.isoformat()}'"
    rules = [
        ("defect is not null", "defect"),
        *_empty("item_id"),
        ("title is null", "'title is missing'"),
        ("categories is null or len(categories) > list_count(categories)", "'categories are missing'"),
        ("available is null", "'available is missing'"),
        ("not isfinite(price) or price < 0", "'price ' || price || ' is not a finite number of 0 or more'"),
        (created, f"'created_at is at or after {as_of.isoformat()}, when the catalogue was asked for'"),
    ]
    return _validate(items, ITEMS, "items", rules, key="item_id")


def validate_looks(looks: pa.Table) -> Checked:
    """Split scene-product pairs; of several rows with one pair the first stays. Clean rows are sorted by the pair.

    Raises `SourceError` on wrong columns.
    """
    # NaN sorts above every number in DuckDB, so list_max sees it.
    inside = "list_count(bbox) = 4 and list_min(bbox) >= 0 and list_max(bbox) <= 1"
    rules = [
        ("defect is not null", "defect"),
        *_empty("scene_id", "product_id", "category", "scene_image", "product_image"),
        ("len(bbox) != 4", "'bbox has ' || len(bbox) || ' numbers instead of 4'"),
        (f"bbox is not null and not ({inside})", "'bbox ' || bbox::varchar || ' leaves the scene (0 to 1)'"),
        ("bbox[1] >= bbox[3] or bbox[2] >= bbox[4]", "'bbox ' || bbox::varchar || ' has no area'"),
    ]
    return _validate(looks, LOOKS, "looks", rules, key="scene_id, product_id")


def _validate(table: pa.Table, contract: pa.Schema, name: str, rules: list[tuple[str, str]], key: str) -> Checked:
    """Rows that pass `rules`, one per `key`, sorted by it; the others in the order in which they came."""
    check_columns(table.schema, contract, name)
    repeats = f"{DUPLICATE}: an earlier row has the same {key}"
    with open_duckdb() as con:
        con.register("source", table)
        columns = select_columns(table.schema, contract)
        con.execute(
            f"""
            create table judged as
            with numbered as (select row_number() over () as row, {columns} from source),
                judged as (select *, {_case(rules)} as broken from numbered),
                ranked as (
                    select *, row_number() over (partition by broken is null, {key} order by row) as copy from judged)
            select * exclude (copy, broken),
                   case when broken is null and copy > 1 then {quoted(repeats)} else broken end as reason
            from ranked
            """
        )
        clean = con.sql(f"select {', '.join(contract.names)} from judged where reason is null order by {key}")
        bad = con.sql("select * exclude (row) from judged where reason is not null order by row")
        return Checked(clean.to_arrow_table().cast(contract), quarantine_rows(bad.to_arrow_table()))


def quarantine_rows(bad: pa.Table) -> pa.Table:
    """Rows with trace columns and a `reason`, in the form of `QUARANTINE`."""
    shown = [name for name in bad.column_names if name not in (*TRACE.names, "reason")]
    # As text, a time may lie outside the years that Python's datetime can hold.
    texts = [
        column.cast(pa.string()) if pa.types.is_timestamp(column.type) else column
        for column in (bad.column(name) for name in shown)
    ]
    raw = [json.dumps(_plain(row), ensure_ascii=False) for row in pa.table(texts, names=shown).to_pylist()]
    where_and_why = [bad.column(name) for name in QUARANTINE.names[:3]]
    return pa.table([*where_and_why, pa.array(raw, pa.string())], names=QUARANTINE.names).cast(QUARANTINE)


def _plain(value: Any) -> Any:
    """What JSON can hold: NaN and infinities by name."""
    if isinstance(value, dict):
        return {name: _plain(element) for name, element in value.items()}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def open_duckdb(
    memory_limit: str | None = None, spill: Path | None = None, threads: int = 2
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that thinks in UTC, wherever the machine stands.

    With a limit (such as "1GB") and a folder to spill to, it takes no more memory than that, and two threads.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    if memory_limit is not None and spill is not None:
        con.execute(f"set threads = {threads}; set memory_limit = '{memory_limit}'")
        con.execute(f"set temp_directory = {quoted(spill)}")
    return con
