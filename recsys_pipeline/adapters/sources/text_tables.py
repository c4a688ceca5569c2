"""SQL that reads text files and Parquet as text columns with line numbers, so that one bad line costs one line.

A typed CSV reader stops at the first bad line or skips it. Here DuckDB reads whole lines, numbers them, splits
them, and leaves every cast to the caller, who can then say what was wrong in which line of which file.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from recsys_pipeline.adapters.sources.files_config import Column, TextTable
from recsys_pipeline.core.errors import SourceError

SAMPLE_LINES = 100
EPOCHS = {"s": ("an epoch in seconds", 6), "ms": ("an epoch in milliseconds", 3), "us": ("an epoch in microseconds", 0)}
QUOTES_ARE_THERE = "; fields stand in double quotes: set quote = true"
YEAR_1_US, YEAR_9999_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def quoted(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def text_rows(path: Path, table: TextTable, columns: dict[str, Column], setting: str) -> str:
    """SQL for one file: `source_row` (1-based line), `defect` (null or why the line cannot be split), one text
    column per entry of `columns`, and for text files `fields`, all of them as a list. Blank lines are no rows, and an
    empty file has none, though it lacks the header too.

    Raises `SourceError` where a column is missing, naming the file, what it has and the setting.
    """
    if table.is_parquet:
        return _parquet_rows(path, columns, setting)
    sample = sample_lines(path, table)
    if not sample:
        return _no_rows(columns)
    header = _split(sample[0], table) if table.header else []
    n_fields = table.fields or len(header) or _usual_fields(sample, table)
    places = {name: _position(column, header, n_fields, path, f"{setting}.{name}") for name, column in columns.items()}
    selected = "".join(f", fields[{place}] as {name}" for name, place in places.items())
    wrong = f"'expected {n_fields} fields, found ' || len(fields)"
    if not table.quote and len(table.text_separator) == 1:
        in_quotes = "contains(array_to_string(fields, ''), '\"')"
        wrong += f" || case when {in_quotes} then {quoted(QUOTES_ARE_THERE)} else '' end"
    return f"""
        select source_row, fields{selected}, case when len(fields) <> {n_fields} then {wrong} end as defect
        from (select source_row, {_split_sql(table)} as fields
              from (select row_number() over () as source_row, line
                    from {_lines_sql(path, table)})
              where line is not null and source_row > {int(table.header)})
    """


def _no_rows(columns: dict[str, Column]) -> str:
    texts = "".join(f", ''::varchar as {name}" for name in columns)
    return f"select 0::bigint as source_row, []::varchar[] as fields{texts}, ''::varchar as defect where false"


def _parquet_rows(path: Path, columns: dict[str, Column], setting: str) -> str:
    try:
        found = pq.read_schema(path).names
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} is not readable Parquet: {error}") from error
    for name, column in columns.items():
        if column not in found:
            raise SourceError(f"{path} has no column {column!r} ({setting}.{name}); its columns are {found}")
    selected = "".join(f', "{_identifier(column)}"::varchar as {name}' for name, column in columns.items())
    return f"""select file_row_number + 1 as source_row{selected}, cast(null as varchar) as defect
               from read_parquet({quoted(path)}, file_row_number = true)"""


def _identifier(name: Column) -> str:
    return str(name).replace('"', '""')


def _lines_sql(path: Path, table: TextTable) -> str:
    # A separator that no text holds makes each line one field; with no quote and no escape nothing is interpreted.
    return (
        f"read_csv({quoted(path)}, delim = chr(1), header = false, auto_detect = false, "
        "columns = {'line': 'varchar'}, quote = '', escape = '', comment = '', "
        f"encoding = '{table.encoding}')"
    )


def _split_sql(table: TextTable) -> str:
    separator = quoted(table.text_separator)
    plain = f"string_split(line, {separator})"
    if not table.quote:
        return plain
    matched = f"regexp_extract_all(line || {separator}, {quoted(_field_pattern(table))}, 1)"
    unquoted = """lambda f: case when length(f) > 1 and f[1] = '"' and f[-1] = '"'
                            then replace(f[2:length(f) - 1], '""', '"') else f end"""
    return f"case when contains(line, '\"') then list_transform({matched}, {unquoted}) else {plain} end"


def _field_pattern(table: TextTable) -> str:
    """Regular expression of a field, in double quotes or not, and the separator after it."""
    character = re.escape(table.text_separator)
    return f'("(?:[^"]|"")*"|[^{character}]*){character}'


def sample_lines(path: Path, table: TextTable) -> list[str]:
    """The first lines that are not blank, `SAMPLE_LINES` of them at most; `SourceError` where there is no such file."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding=table.encoding, newline="\n", errors="replace") as lines:
            return [line.rstrip("\r\n") for line in islice(lines, SAMPLE_LINES) if line.strip("\r\n")]
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _split(line: str, table: TextTable) -> list[str]:
    """The fields of a line, as `_split_sql` finds them."""
    line = line.removeprefix("\ufeff")
    if not table.quote:
        return line.split(table.text_separator)
    cells = re.findall(_field_pattern(table), line + table.text_separator)
    return [cell[1:-1].replace('""', '"') if re.fullmatch('".*"', cell) else cell for cell in cells]


def _usual_fields(lines: list[str], table: TextTable) -> int:
    return Counter(len(_split(line, table)) for line in lines).most_common(1)[0][0]


def _position(column: Column, header: list[str], n_fields: int, path: Path, setting: str) -> int:
    if isinstance(column, str):
        if column not in header:
            found = f"its header has {header}" if header else "it has no header (header = false): give a position"
            hint = QUOTES_ARE_THERE if f'"{column}"' in header else ""
            raise SourceError(f"{path} has no column {column!r} ({setting}); {found}{hint}")
        return header.index(column) + 1
    if column > n_fields:
        raise SourceError(f"{path} has {n_fields} fields in a line, and {setting} asks for field {column}")
    return column


def instant(text: str, unit: str) -> str:
    """SQL that reads a time from text as `timestamptz`: null where it cannot, and outside the years 1 to 9999."""
    if unit == "iso":
        time = f"try_cast({text} as timestamptz)"
        return f"case when epoch_us({time}) between {YEAR_1_US} and {YEAR_9999_US} then {time} end"
    _, digits = EPOCHS[unit]
    whole = f"try_cast(try_cast({text} as decimal(38, {digits})) * {10**digits} as bigint)"
    return f"case when {whole} between {YEAR_1_US} and {YEAR_9999_US} then make_timestamptz({whole}) end"


def whole_number(text: str) -> str:
    """SQL that reads an integer from text; a plain cast would round 3.7 to 4."""
    return f"case when try_cast({text} as double) = try_cast({text} as integer) then try_cast({text} as integer) end"


def unreadable(name: str, parsed: str, text: str, wanted: str) -> str:
    """SQL `when … then …` for a text that is there and cannot be read as `wanted`."""
    hint = f"case when {text} like '\"%\"' then {quoted(QUOTES_ARE_THERE)} else '' end"
    reason = f"'{name} ''' || {text} || ''' is not {wanted}' || {hint}"
    return f"when {parsed} is null and coalesce({text}, '') <> '' then {reason}"


def unit_name(unit: str) -> str:
    """What a time in this unit is called in a reason."""
    return EPOCHS[unit][0] if unit in EPOCHS else "an ISO 8601 time"


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Turn DuckDB's error into one that names the file; its first line says what is wrong."""
    try:
        yield
    except duckdb.Error as error:
        cause = " ".join(str(error).split())[:300]
        raise SourceError(
            f"{path} cannot be read to its end (cut short, wrong encoding, mixed line ends?): {cause}"
        ) from error
