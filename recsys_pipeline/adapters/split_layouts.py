"""How a file of somebody's own split is laid out, told from its content: papers and libraries share many formats.

    table       user, item, maybe value and timestamp, between commas, tabs, `::`, `;`, `|` or spaces, or in Parquet
    adjacency   `user item item …`, one line per user (the LightGCN split of Gowalla)
    sequences   `user item`, one pair per line in the order of time (SASRec)
    negatives   `(user,item)<tab>negative<tab>negative…`, one line per tested pair (NCF)

What cannot be told is not guessed: the error names the line and the option that settles it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.adapters.sources.files_config import TextTable
from recsys_pipeline.adapters.sources.text_tables import sample_lines
from recsys_pipeline.core.errors import SettingError, SourceError

FORMATS = ("table", "adjacency", "sequences")
"""What `--format` may say; the negatives of NCF are known by their brackets."""
ROLES = ("user", "item", "value", "timestamp")
SEPARATORS = {"::": "::", "\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}
NCF_PAIR = re.compile(r"\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)(\s|$)")
SEEN_AS_TIME = 1e8
"""A third column without a header whose numbers are all above this is a time: 1973 in seconds, and no rating."""
MAX_UNNAMED = 4
NAMES: Mapping[str, frozenset[str]] = {
    "user": frozenset({"user", "userid", "uid", "customerid", "visitorid"}),
    "item": frozenset({"item", "itemid", "iid", "movieid", "productid", "parentasin", "artistid", "businessid"}),
    "value": frozenset({"value", "rating", "score", "stars", "weight"}),
    "timestamp": frozenset({"timestamp", "time", "ts", "unixtime", "date", "datetime", "createdat"}),
}
"""Header names of each role, in small letters without `_`, `-` and blanks, and without RecBole's `:token`."""


@dataclass(frozen=True)
class Layout:
    """How one file is read."""

    format: str
    separator: str = ""
    is_parquet: bool = False
    has_header: bool = False
    is_quoted: bool = False
    columns: Mapping[str, int | str] | None = None
    """Of a table: the place (1-based, or a name in Parquet) of each role that it has."""
    time_unit: str = ""
    """Of the timestamps: s, ms, us or iso; empty where there are none."""

    @property
    def has_times(self) -> bool:
        """Whether rows carry moments, not only an order."""
        return bool(self.time_unit)

    @property
    def knows_order(self) -> bool:
        """Whether it says which of a user's rows came last."""
        return bool(self.time_unit) or self.format == "sequences"

    def describe(self) -> str:
        """In words, for people who want to check what was told from the content."""
        if self.format == "negatives":
            return "NCF negatives: (user,item) negative …"
        if self.format != "table":
            return {"adjacency": "adjacency lists: user item …", "sequences": "user item, in order of time"}[
                self.format
            ]
        kind = "Parquet" if self.is_parquet else f"{SEPARATORS[self.separator]}-separated, "
        header = "" if self.is_parquet else "header" if self.has_header else "no header"
        named = ", ".join(f"{role} = {place}" for role, place in (self.columns or {}).items())
        return f"{kind}{header}; {named}{f' ({self.time_unit})' if self.time_unit else ''}"

    def text_table(self) -> TextTable:
        """The same for the reader of the sources; the path stands for the kind only."""
        name = "table.parquet" if self.is_parquet else "table.txt"
        return TextTable(path=name, separator=self.separator, header=self.has_header, quote=self.is_quoted)


def find_layout(path: Path, format: str | None = None, columns: Sequence[str] | None = None) -> Layout:
    """Tell the layout of a file from its first lines; `format` and `columns` settle what they cannot tell.

    `columns` names the role of each column of a table in order, `-` for one that is not read.

    Raises:
        SourceError: the file is missing, empty or of no known layout.
        SettingError: `format` or `columns` are unknown or do not suit the file.
    """
    if format is not None and format not in FORMATS:
        raise SettingError(f"format {format!r} is unknown: use {', '.join(FORMATS)}, or leave it out")
    if columns is not None:
        _check_roles(columns)
    if not path.is_file():
        raise SourceError(f"{path} is no file: check the path")
    if _is_parquet(path):
        return _parquet_layout(path, columns)
    lines = [line.removeprefix("\ufeff") for line in sample_lines(path, TextTable(path="lines.csv"))]
    if not lines:
        raise SourceError(f"{path} is empty: there is nothing to read")
    if "\0" in lines[0]:
        raise SourceError(f"{path} is no text (its first line holds a zero byte): give text, .gz of text, or Parquet")
    if format is None and columns is None and all(NCF_PAIR.match(line) for line in lines):
        return Layout("negatives", separator="\t" if "\t" in lines[0] else " ")
    return _text_layout(path, lines, format, columns)


def _text_layout(path: Path, lines: list[str], format: str | None, columns: Sequence[str] | None) -> Layout:
    separator = _separator(path, lines)
    quoted = len(separator) == 1 and any('"' in line for line in lines)
    cells = [_cells(line, separator, quoted) for line in lines]
    found = format or ("table" if columns else _format(path, separator, cells))
    if found != "table":
        return Layout(found, separator)
    width = Counter(len(row) for row in cells).most_common(1)[0][0]
    regular = [row for row in cells if len(row) == width]
    header = cells[0] if _is_header(cells[0], regular) else None
    places = _places(path, header, regular, columns, width)
    at = places.get("timestamp")
    unit = "" if at is None else _time_unit(path, [row[at - 1] for row in regular[int(header is not None) :]])
    return Layout("table", separator, False, header is not None, quoted, places, unit)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _parquet_layout(path: Path, columns: Sequence[str] | None) -> Layout:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} is not readable Parquet: {error}") from error
    names = file.schema_arrow.names
    places = _places(path, names, [], columns, len(names))
    by_name: dict[str, int | str] = {role: names[place - 1] for role, place in places.items()}
    unit = ""
    if "timestamp" in by_name:
        head = next(file.iter_batches(batch_size=100, columns=[str(by_name["timestamp"])]), None)
        sample = [] if head is None else [str(value) for value in head.column(0).to_pylist() if value is not None]
        unit = _time_unit(path, sample)
    return Layout("table", is_parquet=True, has_header=True, columns=by_name, time_unit=unit)


def _separator(path: Path, lines: list[str]) -> str:
    for separator in SEPARATORS:
        if sum(separator in line.strip() for line in lines) > len(lines) / 2:
            return separator
    known = ", ".join(SEPARATORS.values())
    raise SourceError(f"{path}: most lines hold one field ({lines[0][:60]!r}): separate fields by one of {known}")


def _cells(line: str, separator: str, quoted: bool) -> list[str]:
    if separator == " ":
        return line.split()
    cells = line.split(separator)
    return [cell.strip().strip('"') if quoted else cell.strip() for cell in cells]


def _format(path: Path, separator: str, cells: list[list[str]]) -> str:
    """Ragged lines are adjacency lists only where no length is usual: a table with a broken line stays a table."""
    usual, times = Counter(len(row) for row in cells).most_common(1)[0]
    if separator == " " and times <= len(cells) / 2:
        return "adjacency"
    if separator == " " and usual == 2 and not _is_header(cells[0], cells):
        return "sequences"
    if separator == " " and usual > MAX_UNNAMED and not _is_header(cells[0], cells):
        raise SourceError(f"{path}: {usual} fields in a line may be a table or adjacency lists: say --format")
    return "table"


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    """By known names, or by a column whose other cells are all numbers."""
    roles = {_role(cell) for cell in first}
    if {"user", "item"} <= roles:
        return True
    body = [row for row in rows if row is not first and len(row) == len(first)]
    return bool(body) and any(
        not _is_number(cell) and all(_is_number(row[at]) for row in body) for at, cell in enumerate(first)
    )


def _places(
    path: Path, header: list[str] | None, rows: list[list[str]], columns: Sequence[str] | None, width: int
) -> dict[str, int]:
    """The 1-based place of each role: as said, by the header's names, or by the usual order."""
    if columns is not None:
        if len(columns) > width:
            raise SettingError(f"{path} has {width} columns, and --columns names {len(columns)}: {','.join(columns)}")
        return {role: place for place, role in enumerate(columns, 1) if role != "-"}
    if header is not None:
        found = [(role, place) for place, cell in enumerate(header, 1) if (role := _role(cell))]
        if {"user", "item"} <= {role for role, _ in found} and len(found) == len(dict(found)):
            return dict(found)
        raise SourceError(
            f"{path}: the header {header} does not say which column is user and which is item: "
            "say it with --columns, such as --columns user,item,value,- (in the order of the file)"
        )
    if width > MAX_UNNAMED:
        raise SourceError(
            f"{path} has {width} columns and no header: say --columns, such as user,item,value,-,timestamp"
        )
    roles = ROLES[:width]
    if width == 3 and all(_is_number(row[2]) and float(row[2]) > SEEN_AS_TIME for row in rows):
        roles = ("user", "item", "timestamp")
    return {role: place for place, role in enumerate(roles, 1)}


def _role(cell: str) -> str | None:
    name = re.sub(r"[\s_-]", "", cell.split(":")[0].lower())
    return next((role for role, names in NAMES.items() if name in names), None)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _time_unit(path: Path, cells: list[str]) -> str:
    """Seconds until the year 5138, milliseconds and microseconds by their size; ISO where most are no numbers."""
    numbers = [float(cell) for cell in cells if _is_number(cell)]
    if len(numbers) < sum(bool(cell) for cell in cells) / 2:
        return "iso"
    largest = max(map(abs, numbers), default=0.0)
    for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)):
        if largest < limit:
            return unit
    raise SourceError(f"{path}: times such as {largest:.0f} are in no unit that is read: give seconds, ms or µs")


def _check_roles(columns: Sequence[str]) -> None:
    named = [role for role in columns if role != "-"]
    unknown = [role for role in named if role not in ROLES]
    if unknown or len(set(named)) < len(named) or not {"user", "item"} <= set(named):
        raise SettingError(
            f"columns {','.join(columns)!r}: name user and item, and value and timestamp where they are, once each; "
            "- is a column that is not read"
        )
