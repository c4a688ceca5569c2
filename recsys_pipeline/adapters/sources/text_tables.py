"""SQL that reads text files and Parquet as text columns with line numbers, so that one bad line costs one line.

A typed CSV reader stops at the first bad line or skips it. Here DuckDB reads whole lines, numbers them, splits
them, and leaves every cast to the caller, who can then say what was wrong in which line of which file.
"""

import gzip
import re
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from recsys_pipeline.adapters.sources.files_config import Column, TextTable
from recsys_pipeline.core.errors import SourceError

SAMPLE_LINES = 100
EPOCHS = {"s": ("an epoch in seconds", 6), "ms": ("an epoch in milliseconds", 3), "us": ("an epoch in microseconds", 0)}
YEAR_1_US, YEAR_9999_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def quoted(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def text_rows(path: Path, table: TextTable, columns: dict[str, Column], setting: str) -> str:
    """SQL for one file: `source_row` (1-based line), `defect` (null or why the line cannot be split), one text
    column per entry of `columns`, and for text files `fields`, all of them as a list. Blank lines are no rows.

    Raises `SourceError` where a column is missing, naming the file, what it has and the setting.
    """
    if table.is_parquet:
        return _parquet_rows(path, columns, setting)
    sample = sample_lines(path, table)
    header = _split(sample[0], table) if table.header and sample else []
    n_fields = table.fields or len(header) or _usual_fields(sample, table)
    places = {name: _position(column, header, n_fields, path, f"{setting}.{name}") for name, column in columns.items()}
    selected = "".join(f", fields[{place}] as {name}" for name, place in places.items())
    wrong = f"case when len(fields) <> {n_fields} then 'expected {n_fields} fields, found ' || len(fields) end"
    return f"""
        select source_row, fields{selected}, {wrong} as defect
        from (select source_row, {_split_sql(table)} as fields
              from (select row_number() over () as source_row, line
                    from {_lines_sql(path, table)})
              where line is not null and source_row > {int(table.header)})
    """


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
    character = re.escape(table.text_separator)
    pattern = quoted(f'("(?:[^"]|"")*"|[^{character}]*){character}')
    matched = f"regexp_extract_all(line || {separator}, {pattern}, 1)"
    unquoted = """lambda f: case when length(f) > 1 and f[1] = '"' and f[-1] = '"'
                            then replace(f[2:length(f) - 1], '""', '"') else f end"""
    return f"case when contains(line, '\"') then list_transform({matched}, {unquoted}) else {plain} end"


def sample_lines(path: Path, table: TextTable) -> list[str]:
    """The first lines that are not blank, `SAMPLE_LINES` of them at most; `SourceError` where there is no such file."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding=table.encoding, newline="\n", errors="replace") as lines:
            return [line.rstrip("\r\n") for line in islice(lines, SAMPLE_LINES) if line.strip("\r\n")]
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _split(line: str, table: TextTable) -> list[str]:
    cells = line.removeprefix("\ufeff").split(table.text_separator)
    return [cell.strip('"') for cell in cells] if table.quote else cells


def _usual_fields(lines: list[str], table: TextTable) -> int:
    counts = Counter(len(_split(line, table)) for line in lines if not (table.quote and '"' in line))
    return counts.most_common(1)[0][0] if counts else 1


def _position(column: Column, header: list[str], n_fields: int, path: Path, setting: str) -> int:
    if isinstance(column, str):
        if column not in header:
            found = f"its header has {header}" if header else "it has no header (header = false): give a position"
            raise SourceError(f"{path} has no column {column!r} ({setting}); {found}")
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
    return f"when {parsed} is null and coalesce({text}, '') <> '' then '{name} ''' || {text} || ''' is not {wanted}'"


def unit_name(unit: str) -> str:
    """What a time in this unit is called in a reason."""
    return EPOCHS[unit][0] if unit in EPOCHS else "an ISO 8601 time"
