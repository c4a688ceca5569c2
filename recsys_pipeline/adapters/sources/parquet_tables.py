"""SQL that reads Parquet as text columns by their exact names; whole floats are whole numbers, and NaN is no value."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.core.dataset.schema import parquet_scan, quoted
from recsys_pipeline.core.errors import SourceError

CAST_FIRST = "write it as 64-bit numbers or as text"
"""Polars makes 128-bit integers of ids above 2^63, and of signed and unsigned ids put together."""


def parquet_rows(path: Path, columns: Mapping[str, int | str], setting: str) -> str:
    """SQL for one file; see `text_tables.text_rows`. Lists and structs come as JSON."""
    schema = parquet_schema(path)
    texts = "".join(
        f", {_text(schema, _place(schema.names, column, path, f'{setting}.{name}'))} as {name}"
        for name, column in columns.items()
    )
    # DuckDB's names do not tell `U` from `u`: columns are taken by their places.
    places = ", ".join(f"c{place}" for place in range(len(schema.names)))
    return f"""select row + 1 as source_row{texts}, cast(null as varchar) as defect
               from {parquet_scan(quoted(path), "file_row_number = true")} as file({places}, row)"""


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a file; raises `SourceError` for one that is broken or has a type that is not read."""
    try:
        return pq.read_schema(path)
    except pa.ArrowNotImplementedError as error:
        raise SourceError(f"{path} has a column of a type that is not read ({error}): {CAST_FIRST}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} is not readable Parquet: {error}") from error


def _place(names: list[str], column: int | str, path: Path, setting: str) -> int:
    if isinstance(column, int):
        raise SourceError(f"{path} is Parquet, and {setting} is the position {column}: give a name of {names}")
    if column not in names:
        raise SourceError(f"{path} has no column {column!r} ({setting}); its columns are {names}")
    if names.count(column) > 1:
        raise SourceError(f"{path} has {names.count(column)} columns {column!r} ({setting}): name each another way")
    return names.index(column)


def _text(schema: pa.Schema, place: int) -> str:
    kind, column = schema.field(place).type, f"c{place}"
    if pa.types.is_floating(kind):
        whole = f"{column} = floor({column}) and abs({column}) < {2**53}"
        text = f"case when {whole} then {column}::bigint::varchar else {column}::varchar end"
        return f"case when not isnan({column}) then {text} end"
    if pa.types.is_nested(kind):
        return f"to_json({column})::varchar"
    return f"{column}::varchar"
