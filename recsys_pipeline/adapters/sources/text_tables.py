"""SQL that reads text files and Parquet as text columns with line numbers, so that one bad line costs one line.

A typed CSV reader stops at the first bad line or skips it. Here `records.py` numbers the records, DuckDB splits them,
and every cast is left to the caller, who can then say what was wrong in which line of which file.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import duckdb

from recsys_pipeline.adapters.sources.files_config import Column, TextTable
from recsys_pipeline.adapters.sources.json_lines import json_rows
from recsys_pipeline.adapters.sources.parquet_tables import parquet_rows
from recsys_pipeline.adapters.sources.records import RecordFile, field_pattern, fields_of
from recsys_pipeline.core.dataset.schema import quoted
from recsys_pipeline.core.errors import SourceError

SAMPLE_LINES = 100
QUOTES_ARE_THERE = "; fields stand in double quotes: leave quote = false out"
NO_FOLDER_VALUE = "__HIVE_DEFAULT_PARTITION__"


def text_rows(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    table: TextTable,
    columns: Mapping[str, Column],
    setting: str,
    root: Path | None = None,
) -> str:
    """SQL for one file: `source_row` (1-based line), `defect` (null or why the line cannot be split), one text
    column per entry of `columns`, and for separated text `fields`, all of them as a list. Blank lines are no rows, and
    an empty file has none, though it lacks the header too. `con` can run it as often as it likes.

    Where the table is `hive`, folders `name=value` between `root` and the file are columns too.

    Raises `SourceError` where a column is missing, naming the file, what it has and the setting.
    """
    folders = _folder_values(path, root) if table.hive and root else {}
    given = {name: folders[str(column)] for name, column in columns.items() if str(column) in folders}
    rows = _file_rows(con, path, table, {name: at for name, at in columns.items() if name not in given}, setting)
    if not given:
        return rows
    texts = "".join(f", {'null' if text is None else quoted(text)}::varchar as {name}" for name, text in given.items())
    return f"select *{texts} from ({rows})"


def _file_rows(
    con: duckdb.DuckDBPyConnection, path: Path, table: TextTable, columns: Mapping[str, Column], setting: str
) -> str:
    if table.is_parquet:
        return parquet_rows(path, columns, setting)
    sample = _sample(path, table)
    if not sample:
        return _no_rows(columns)
    if table.is_json:
        return json_rows(path, _registered(con, _records(path, table)), _records(path, table), columns, setting)
    return _separated_rows(con, path, table, columns, setting, sample)


def _separated_rows(
    con: duckdb.DuckDBPyConnection, path: Path, table: TextTable, columns: Mapping[str, Column], setting: str,
    sample: list[tuple[int, str | None, str | None]],
) -> str:  # fmt: skip
    lines, (first_row, first_line, first_defect) = _texts(sample, path), sample[0]
    if table.header and first_line is None:
        raise SourceError(f"{path}, line {first_row}, which is its header: {first_defect}")
    header = split_record(lines[0], table) if table.header else []
    n_fields = table.fields or len(header) or _usual_fields(lines, table)
    places = {name: _position(column, header, n_fields, path, f"{setting}.{name}") for name, column in columns.items()}
    selected = "".join(f", fields[{place}] as {name}" for name, place in places.items())
    wrong = f"'expected {n_fields} fields, found ' || len(fields)"
    if table.quote is False and len(table.text_separator) == 1:
        in_quotes = "contains(array_to_string(fields, ''), '\"')"
        wrong += f" || case when {in_quotes} then {quoted(QUOTES_ARE_THERE)} else '' end"
    records = _registered(con, _records(path, table, n_fields))
    defect = f"case when defect is not null then defect when len(fields) <> {n_fields} then {wrong} end"
    return f"""
        select source_row, fields{selected}, {defect} as defect
        from (select source_row, defect, {_split_sql(table, n_fields)} as fields from {records}
              where source_row > {first_row if table.header else 0})
    """


def _folder_values(path: Path, root: Path) -> dict[str, str | None]:
    named = [part.partition("=") for part in path.relative_to(root).parent.parts if "=" in part]
    return {name: None if text == NO_FOLDER_VALUE else unquote(text) for name, _, text in named}


def _no_rows(columns: Mapping[str, Column]) -> str:
    texts = "".join(f", ''::varchar as {name}" for name in columns)
    return f"select 0::bigint as source_row, []::varchar[] as fields{texts}, ''::varchar as defect where false"


def _records(path: Path, table: TextTable, n_fields: int | None = None) -> RecordFile:
    return RecordFile(path, table.encoding, table.text_separator if table.is_quoted else "", n_fields)


def _registered(con: duckdb.DuckDBPyConnection, file: RecordFile) -> str:
    """The name by which `con` knows the records of a file."""
    name = f"records_{hashlib.sha256(repr(file).encode()).hexdigest()[:16]}"
    con.register(name, file)
    return name


def _split_sql(table: TextTable, n_fields: int) -> str:
    separator = quoted(table.text_separator)
    plain = f"string_split(line, {separator})"
    if not table.is_quoted:
        return plain
    matched = f"regexp_extract_all(line || {separator}, {quoted(field_pattern(table.text_separator))}, 1)"
    unquoted = """lambda f: case when length(f) > 1 and f[1] = '"' and f[-1] = '"'
                            then replace(f[2:length(f) - 1], '""', '"') else f end"""
    # A line with just two quotes for each field, all of which stand beside separators or ends, has nothing to unescape.
    inner = f"string_split(line[2:-2], {quoted(_between(table.text_separator))})"
    n_quotes = "length(line) - length(replace(line, '\"', ''))"
    is_simple = f"""line[1] = '"' and line[-1] = '"' and {n_quotes} = {2 * n_fields} and len({inner}) = {n_fields}"""
    return f"""case when not contains(line, '"') then {plain} when {is_simple} then {inner}
                    else list_transform({matched}, {unquoted}) end"""


def _between(separator: str) -> str:
    return f'"{separator}"'


def _sample(path: Path, table: TextTable) -> list[tuple[int, str | None, str | None]]:
    return list(islice(_records(path, table).rows(), SAMPLE_LINES))


def sample_lines(path: Path, table: TextTable) -> list[str]:
    """The first records that are not blank, `SAMPLE_LINES` of them at most; `SourceError` where there is no such file.

    Lines that cannot be decoded are left out: what reads the file says which they are.
    """
    return _texts(_sample(path, table), path)


def _texts(sample: list[tuple[int, str | None, str | None]], path: Path) -> list[str]:
    lines = [line for _, line, _ in sample if line is not None]
    if sample and not lines:
        row, _, defect = sample[0]
        raise SourceError(f"{path} is no text that can be read: line {row}: {defect}")
    return lines


def split_record(record: str, table: TextTable) -> list[str]:
    """The fields of a record, as SQL finds them."""
    return fields_of(record, table.text_separator) if table.is_quoted else record.split(table.text_separator)


def _usual_fields(lines: list[str], table: TextTable) -> int:
    return Counter(len(split_record(line, table)) for line in lines).most_common(1)[0][0]


def _position(column: Column, header: list[str], n_fields: int, path: Path, setting: str) -> int:
    if isinstance(column, str):
        if column not in header:
            found = f"its header has {header}" if header else "it has no header (header = false): give a position"
            hint = QUOTES_ARE_THERE if f'"{column}"' in header else ""
            raise SourceError(f"{path} has no column {column!r} ({setting}); {found}{hint}")
        if header.count(column) > 1:
            places = [str(place) for place, name in enumerate(header, 1) if name == column]
            raise SourceError(
                f"{path} has {len(places)} columns {column!r} ({setting}), fields {' and '.join(places)}: "
                "give the position of the one that is meant"
            )
        return header.index(column) + 1
    if column > n_fields:
        raise SourceError(f"{path} has {n_fields} fields in a line, and {setting} asks for field {column}")
    return column


def plain_number(text: str, table: TextTable) -> str:
    """SQL that writes a number as SQL does, from one with the table's decimal and thousands separators."""
    if table.decimal == "." and not table.thousands:
        return text
    point, group = f"[{table.decimal}]", f"[{table.thousands}]" if table.thousands else ""
    whole = rf"\d{{1,3}}({group}\d{{3}})+|\d+" if group else r"\d+"
    pattern = rf"\s*[+-]?(({whole})({point}\d*)?|{point}\d+)([eE][+-]?\d+)?\s*"
    bare = f"replace({text}, {quoted(table.thousands)}, '')" if group else text
    return (
        f"case when regexp_full_match({text}, {quoted(pattern)}) then replace({bare}, {quoted(table.decimal)}, '.') end"
    )


def whole_number(text: str) -> str:
    """SQL that reads an integer from text; a plain cast would round 3.7 to 4."""
    return f"case when try_cast({text} as double) = try_cast({text} as integer) then try_cast({text} as integer) end"


def unreadable(name: str, parsed: str, text: str, wanted: str) -> str:
    """SQL `when … then …` for a text that is there and cannot be read as `wanted`."""
    reason = f"'{name} ''' || {text} || ''' is not ' || {quoted(wanted)}"
    return f"when {parsed} is null and coalesce({text}, '') <> '' then {reason}"


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Turn DuckDB's error into one that names the file; its first line says what is wrong."""
    try:
        yield
    except duckdb.Error as error:
        cause = " ".join(str(error).partition("Detail: Python exception")[0].split())[:300]
        raise SourceError(f"{path} cannot be read to its end (was it cut short?): {cause}") from error
