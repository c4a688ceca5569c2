"""The first rows of any table: its names, its cells, and how its lines are read."""

import codecs
import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.splits.layouts import header_of, separator_of
from recsys_pipeline.adapters.splits.samples import read_sample, split_rows
from recsys_pipeline.core.printable import printable

LOOKED_AT_BYTES = 1 << 20
SHOWN_ROWS, SHOWN_CHARACTERS = 3, 100


@dataclass(frozen=True)
class TableSample:
    """Rows of equal width, and where their names are from."""

    path: Path
    kind: str
    """text, parquet or json."""
    names: tuple[str, ...]
    """Of a header, or that the rows carry; empty where there are none."""
    rows: tuple[tuple[str, ...], ...]
    separator: str = ""
    encoding: str = "utf-8"

    @property
    def header(self) -> bool:
        """Whether columns have names."""
        return bool(self.names)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names) or len(self.rows[0])

    @property
    def reading(self) -> dict[str, Any]:
        """For the reader of sources; the path stands for the kind only."""
        path = {"parquet": "table.parquet", "json": "table.jsonl"}.get(self.kind, "table.txt")
        said = {"separator": self.separator, "header": self.header} if self.kind == "text" else {}
        return {"path": path, "encoding": self.encoding, **said}

    def cells(self, place: int | str) -> list[str]:
        """Of a column, by its 1-based place or its name."""
        at = self.names.index(place) if isinstance(place, str) else place - 1
        return [row[at] for row in self.rows]

    def place(self, at: int) -> int | str:
        """How a TOML names the column at a 1-based place."""
        return self.names[at - 1] if self.header else at

    def first_rows(self) -> list[str]:
        """For people."""
        rows: Sequence[tuple[str, ...]] = [*([self.names] if self.header else []), *self.rows[:SHOWN_ROWS]]
        return [printable(" | ".join(row))[:SHOWN_CHARACTERS].replace("\n", " ") for row in rows]


def sampled(path: Path) -> TableSample:
    """The first rows of a file; raises `SourceError` where it is missing, empty or of no kind that is read."""
    encoding = _encoding(path) if path.is_file() else "utf-8"
    sample = read_sample(path, encoding)
    if sample.kind != "text":
        return TableSample(path, sample.kind, sample.names, sample.rows)
    separator = separator_of(path, sample.lines)
    cells = split_rows(path, encoding, sample.lines, separator, len(separator) == 1 and separator != " ")
    width = Counter(len(row) for row in cells).most_common(1)[0][0]
    regular = [tuple(row) for row in cells if len(row) == width]
    names = header_of(cells[0], regular)
    return TableSample(path, "text", names, tuple(regular[1:] if names else regular), separator, encoding)


def _encoding(path: Path) -> str:
    """UTF-8 where the start of the text is; else Latin-1, which reads any bytes."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
        start = stream.read(LOOKED_AT_BYTES)
    if start[:4] == b"PAR1" or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-8"  # no text, or what `read_sample` has its own words for
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
