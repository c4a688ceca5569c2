"""The first rows of a file as names and cells, whatever kind of file it is: what its layout is told from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.adapters.sources.parquet_tables import parquet_schema
from recsys_pipeline.adapters.sources.records import RecordFile, fields_of
from recsys_pipeline.core.errors import SourceError

SAMPLE_ROWS = 10_000
"""A file in the order of its users shows one or two of them in its first hundred rows."""
SEPARATORS = {"::": "::", "\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}
OPTIONS = {
    "set encoding": "say --encoding, such as latin-1",
    "set quote = false": "say --no-quote",
    "leave quote = false out": "leave --no-quote out",
    " (first_year, last_year)": "",
}
"""What the reader of sources advises in the words of a TOML, in those of the command line."""
EMPTY = {None: "", True: "true", False: "false"}


@dataclass(frozen=True)
class Sample:
    """The first rows: lines of text, or names and cells of a file that names its columns itself."""

    kind: str
    """text, parquet or json."""
    lines: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def read_sample(path: Path, encoding: str) -> Sample:
    """The first `SAMPLE_ROWS` rows; `SourceError` where there are none, or the file is of a kind that is not read."""
    if not path.is_file():
        raise SourceError(f"{path} is no file: check the path")
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == b"PAR1":
        return _parquet_sample(path)
    if start[:2] == b"\x1f\x8b" and path.suffix != ".gz":
        raise SourceError(f"{path} is packed by gzip, and its name does not say so: let it end in .gz")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and encoding != "utf-16":
        raise SourceError(f"{path} begins as UTF-16 does: say --encoding utf-16")
    lines = _lines(path, encoding)
    is_json = lines[0].lstrip().startswith(("{", "["))
    return _json_sample(path, lines) if is_json else Sample("text", lines)


def _lines(path: Path, encoding: str) -> tuple[str, ...]:
    """Lines that are not blank; those that cannot be decoded are named when the whole file is read."""
    rows = list(islice(RecordFile(path, encoding).rows(), SAMPLE_ROWS))
    lines = tuple(line for _, line, _ in rows if line is not None and line.strip())
    if lines:
        return lines
    defects = [(row, defect) for row, _, defect in rows if defect is not None]
    if not defects:
        raise SourceError(f"{path} is empty: there is nothing to read")
    row, defect = defects[0]
    raise SourceError(
        f"{path} is no text that can be read (line {row}: {as_options(defect)}): give text, .gz of text, or Parquet"
    )


def as_options(defect: str) -> str:
    """The reason with the options of the command line for the keys of a TOML."""
    for key, option in OPTIONS.items():
        defect = defect.replace(key, option)
    return defect


def split_rows(path: Path, encoding: str, lines: Sequence[str], separator: str, quoted: bool) -> list[list[str]]:
    """The fields of each of the first records; in quotes a separator, and a line's end, are part of a field."""
    if not quoted:
        return [split_line(line, separator, quoted=False) for line in lines]
    rows = islice(RecordFile(path, encoding, separator).rows(), SAMPLE_ROWS)
    return [split_line(line, separator, quoted=True) for _, line, _ in rows if line is not None and line.strip()]


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """The fields of one record, without blanks around them."""
    if separator == " ":
        return line.split()
    return [cell.strip() for cell in (fields_of(line, separator) if quoted else line.split(separator))]


def _parquet_sample(path: Path) -> Sample:
    parquet_schema(path)
    try:
        file = pq.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=SAMPLE_ROWS), None)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} is not readable Parquet: {error}") from error
    names = tuple(file.schema_arrow.names)
    columns = [] if batch is None else [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
    return Sample("parquet", names=names, rows=tuple(zip(*columns, strict=True)))


def _json_sample(path: Path, lines: tuple[str, ...]) -> Sample:
    rows = [row for number, line in enumerate(lines, 1) for row in _flat_rows(_object(path, number, line))]
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return Sample("json", names=names, rows=tuple(tuple(row.get(name, "") for name in names) for row in rows))


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        literal = "; it looks like Python, not JSON" if line.startswith(("{'", "{u'")) else ""
        raise SourceError(
            f"{path}, line {number} is no JSON object ({error}{literal}): give one in each line, as `jq -c` writes them"
        ) from error
    if not isinstance(found, dict):
        raise SourceError(
            f"{path} holds one JSON array: give one object in each line, as `jq -c '.[]'` writes them"
            if isinstance(found, list)
            else f"{path}, line {number} is no JSON object"
        )
    return found


def _flat_rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Values by path: `a.b` in an object, `events[].aid` in a list of objects, which gives a row for each."""
    plain: dict[str, str] = {}
    lists: dict[str, list[dict[str, str]]] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            plain |= {f"{name}.{inner}": text for inner, text in _flat_rows(value)[0].items()}
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            lists[name] = [{f"{name}[].{k}": text for k, text in _flat_rows(one)[0].items()} for one in value]
        else:
            plain[name] = _cell(value)
    rows = next(iter(lists.values()), [{}])
    return [plain | row for row in rows]


def _cell(value: object) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)
    return EMPTY[value] if value is None or isinstance(value, bool) else str(value)
