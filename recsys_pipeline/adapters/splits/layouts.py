"""How a file of somebody's own split is laid out, told from its content: papers and libraries share many formats.

    table       user, item, maybe value and timestamp, between commas, tabs, `::`, `;`, `|` or spaces, in Parquet, or
                as JSON lines
    adjacency   `user item item …`, one line per user (the LightGCN split of Gowalla)
    sequences   `user item`, one pair per line in the order of time (SASRec)
    sessions    `item item …`, one line per session in the order of time (SR-GNN); who it was is not known
    negatives   `(user,item)<tab>negative<tab>negative…`, one line per tested pair (NCF)

What cannot be told is not guessed: the error names the line and the option that settles it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recsys_pipeline.adapters.sources.drafts.column_content import Content, content, epoch_unit, number_of, times_like
from recsys_pipeline.adapters.sources.drafts.column_names import roles_by_name
from recsys_pipeline.adapters.sources.drafts.column_roles import (
    ENOUGH_ROWS,
    Roles,
    guessed_roles,
    named_roles,
    said_roles,
)
from recsys_pipeline.adapters.sources.files_config import TextTable
from recsys_pipeline.adapters.splits.reading import PLAINLY, Reading, check_reading
from recsys_pipeline.adapters.splits.samples import SEPARATORS, Sample, read_sample, split_line, split_rows
from recsys_pipeline.core.errors import SettingError, SourceError

NCF_PAIR = re.compile(r"\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)(\s|$)")
NETFLIX_ITEM = re.compile(r"\d+:")
NETFLIX_ROWS = """awk -F, '/:$/ { item = $1; sub(/:/, "", item); next } { print $1 "," item "," $2 "," $3 }'"""
MAX_UNNAMED_WORDS = 4
DESCRIBED = {
    "negatives": "NCF negatives: (user,item) negative …",
    "adjacency": "adjacency lists: user item …",
    "sequences": "user item, in order of time",
    "sessions": "sessions: item item …, in order of time",
}
TRIED_LINES = 500
LIST_SEPARATORS = ("|", ";", ",", " ")


@dataclass(frozen=True)
class Layout:
    """How one file is read."""

    format: str
    separator: str = ""
    kind: str = "text"
    """Or parquet, or json."""
    has_header: bool = False
    is_quoted: bool = False
    encoding: str = "utf-8"
    columns: Mapping[str, int | str] | None = None
    """Of a table: the place (1-based, or a name in Parquet and JSON) of each role that it has."""
    time_unit: str = ""
    """Of the timestamps: s, ms, us, iso or text (as `time_format` says); empty where there are none."""
    time_format: str = ""
    time_zone: str = "UTC"
    list_separator: str = ""
    """Between the items of one row, where a column holds a list of them."""
    reasons: tuple[str, ...] = ()
    """Why its columns are read as they are."""
    is_guessed: bool = False
    """Whether only the content says which column is which."""

    @property
    def has_times(self) -> bool:
        """Whether rows carry moments, not only an order."""
        return bool(self.time_unit)

    @property
    def knows_order(self) -> bool:
        """Whether it says which of a user's rows came last."""
        return bool(self.time_unit) or self.format in ("sequences", "sessions")

    def describe(self) -> str:
        """In words, for people who want to check what was told from the content."""
        if self.format in DESCRIBED:
            return DESCRIBED[self.format]
        header = "header" if self.has_header else "no header"
        kind = {"parquet": "Parquet", "json": "JSON lines"}.get(
            self.kind, f"{SEPARATORS.get(self.separator, repr(self.separator))}-separated, {header}"
        )
        named = ", ".join(f"{role} = {place}" for role, place in (self.columns or {}).items())
        unit = self.time_format or self.time_unit
        return f"{kind}; {named}{f' ({unit})' if unit else ''}"

    def text_table(self) -> TextTable:
        """The same for the reader of the sources; the path stands for the kind only."""
        name = {"parquet": "table.parquet", "json": "table.jsonl"}.get(self.kind, "table.txt")
        said = {"separator": self.separator, "header": self.has_header, "encoding": self.encoding}
        return TextTable.model_validate({"path": name, "quote": self.is_quoted, **said})


def find_layout(path: Path, reading: Reading = PLAINLY) -> Layout:
    """Tell the layout of a file from its first rows; `reading` settles what they cannot tell.

    Raises:
        SourceError: the file is missing, empty or of no known layout, or can be read in more than one way.
        SettingError: something that was said is unknown or does not suit the file.
    """
    check_reading(reading)
    sample = read_sample(path, reading.encoding)
    if sample.kind != "text":
        return _named_layout(path, sample, reading)
    if reading.format is None and reading.columns is None and all(NCF_PAIR.match(line) for line in sample.lines):
        return Layout("negatives", separator="\t" if "\t" in sample.lines[0] else " ", encoding=reading.encoding)
    return _text_layout(path, sample.lines, reading)


def _named_layout(path: Path, sample: Sample, reading: Reading) -> Layout:
    """Of Parquet and JSON lines, which name their columns in every row."""
    columns = [[row[at] for row in sample.rows] for at in range(len(sample.names))]
    if reading.columns is None:
        roles = named_roles(sample.names, [content(cells) for cells in columns], path)
    else:
        roles = said_roles(reading.columns, sample.names, len(sample.names), str(path))
    by_name = {role: sample.names[place - 1] for role, place in roles.places.items()}
    cells = {role: columns[place - 1] for role, place in roles.places.items()}
    return _table(path, Layout("table", kind=sample.kind, has_header=True), roles, by_name, cells, reading)


def _text_layout(path: Path, lines: tuple[str, ...], reading: Reading) -> Layout:
    if reading.format is None and (heads := [line for line in lines if NETFLIX_ITEM.fullmatch(line)]):
        raise SourceError(
            f"{path}: lines such as {heads[0]!r} name the item of the lines after them, as Netflix's do: "
            f"make rows of that, such as by {NETFLIX_ROWS}"
        )
    separator = separator_of(path, lines) if reading.separator is None else reading.separator
    quoted = _may_be_quoted(separator) if reading.quote is None else reading.quote
    cells = split_rows(path, reading.encoding, lines, separator, quoted)
    found = reading.format or ("table" if reading.columns else _format(path, separator, cells))
    if found != "table":
        return Layout(found, separator, encoding=reading.encoding)
    width = Counter(len(row) for row in cells).most_common(1)[0][0]
    regular = [row for row in cells if len(row) == width]
    has_header = _is_header(cells[0], regular) if reading.header is None else reading.header
    body = regular[1:] if has_header and regular[0] is cells[0] else regular
    columns = [[row[at] for row in body] for at in range(width)]
    roles = _text_roles(path, cells[0] if has_header else [], [content(column) for column in columns], reading)
    base = Layout("table", separator, has_header=has_header, is_quoted=quoted, encoding=reading.encoding)
    by_role = {role: columns[place - 1] for role, place in roles.places.items()}
    return _table(path, base, roles, roles.places, by_role, reading)


def _text_roles(path: Path, header: Sequence[str], contents: Sequence[Content], reading: Reading) -> Roles:
    if reading.columns is not None:
        return said_roles(reading.columns, header, len(contents), str(path))
    return named_roles(header, contents, path) if header else guessed_roles(contents, path)


def _table(
    path: Path,
    base: Layout,
    roles: Roles,
    places: Mapping[str, int | str],
    cells: Mapping[str, Sequence[str]],
    reading: Reading,
) -> Layout:
    """`base` with its columns, and how its times and its lists of items are written."""
    unit = "" if "timestamp" not in places else _time_unit(path, cells["timestamp"], reading)
    listed = _list_separator(cells["items"]) if "items" in places else ""
    return replace(
        base,
        columns=places,
        time_unit=unit,
        time_format=reading.time_format if unit else "",
        time_zone=reading.time_zone,
        list_separator=listed,
        reasons=roles.reasons,
        is_guessed=roles.is_guessed,
    )


def separator_of(path: Path, lines: Sequence[str]) -> str:
    """What stands in most lines, and of several what gives the most lines one number of fields."""
    found = [one for one in SEPARATORS if sum(one in line.strip() for line in lines) > len(lines) / 2]
    if not found:
        known = ", ".join(SEPARATORS.values())
        raise SourceError(
            f"{path}: most lines hold one field ({lines[0][:60]!r}): separate fields by one of {known}, or say "
            "--separator"
        )
    return max(found, key=lambda one: _n_usual(lines[:TRIED_LINES], one))


def _n_usual(lines: Sequence[str], separator: str) -> int:
    widths = Counter(len(split_line(line, separator, _may_be_quoted(separator))) for line in lines)
    return widths.most_common(1)[0][1]


def _may_be_quoted(separator: str) -> bool:
    return len(separator) == 1 and separator != " "


def _format(path: Path, separator: str, cells: Sequence[Sequence[str]]) -> str:
    """Ragged lines are adjacency lists only where no length is usual: a table with a broken line stays a table."""
    usual, times = Counter(len(row) for row in cells).most_common(1)[0]
    if separator == " " and times <= len(cells) / 2:
        n_again = len(cells) - len({row[0] for row in cells})
        if len(cells) >= ENOUGH_ROWS and n_again > len(cells) / 20:
            raise SourceError(
                f"{path}: lines of many lengths, of which {n_again:,} begin as another does, and lists of items have "
                "one line per user: say --format sessions (item item …) or --format adjacency (user item …)"
            )
        return "adjacency"
    if separator == " " and usual == 2 and not _is_header(cells[0], cells):
        return "sequences"
    if separator == " " and usual > MAX_UNNAMED_WORDS and not _is_header(cells[0], cells):
        raise SourceError(f"{path}: {usual} fields in a line may be a table or adjacency lists: say --format")
    return "table"


def header_of(first: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names in the first line; empty where it is a row as all others are."""
    return tuple(first) if _is_header(first, rows) else ()


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """By a name that users or items have, or by a column whose other cells are all numbers or times."""
    if {"user", "item", "items"} & set(roles_by_name(first)):
        return True
    body = [row for row in rows if row is not first and len(row) == len(first)]
    return bool(body) and any(
        number_of(cell) is None
        and not content([cell]).time_kind
        and _is_all_numbers_or_times([row[at] for row in body])
        for at, cell in enumerate(first)
    )


def _is_all_numbers_or_times(cells: Sequence[str]) -> bool:
    found = content(cells)
    return found.n == len(cells) and found.n in (found.n_numbers, found.n_iso, found.n_written)


def _time_unit(path: Path, cells: Sequence[str], reading: Reading) -> str:
    """Seconds until the year 5138, milliseconds and microseconds by their size; ISO where most are no numbers."""
    if reading.time_format:
        return "text"
    found = content(cells)
    if (found.n_iso == found.n and found.n) or found.n_numbers < found.n / 2:
        if found.time_kind == "written":
            raise SourceError(f"{path}: times such as {found.example!r} are not ISO 8601: {_formats_to_say(cells)}")
        return "iso"
    if reading.time_zone != "UTC":
        raise SettingError(f"--time-zone: {path} has epochs such as {found.example}, which belong to no zone")
    if unit := epoch_unit(max(map(abs, (found.smallest, found.largest)))):
        return unit
    raise SourceError(f"{path}: times such as {found.largest:.0f} are in no unit that is read: give seconds, ms or µs")


def _formats_to_say(cells: Sequence[str]) -> str:
    """What reads every cell, for people to choose from: which of two numbers is the day only they know."""
    formats = times_like(cells) or ["%d.%m.%Y %H:%M"]
    return "say --time-format, such as " + " or ".join(f"'{form}'" for form in formats)


def _list_separator(cells: Sequence[str]) -> str:
    """What stands between the items of a list; `[` where lists are written as JSON and Python write them."""
    filled = [cell for cell in cells if cell]
    if filled and all(cell.startswith("[") and cell.endswith("]") for cell in filled):
        return "["
    return max(LIST_SEPARATORS, key=lambda separator: sum(separator in cell for cell in filled))
