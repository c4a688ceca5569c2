"""Rows without a usable time: no day is theirs, so they are put aside by the day that reads them first, and once.

A file that grows, or a table, gives them again with every reading. Those that other days hold already are told by what
they say (reason and row, whatever the line on which it stands now), each as often as it is held.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 20_000
Held = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Undated:
    """What becomes of rows without a usable time."""

    held_beside: Callable[[Collection[str]], Held] = field(default=lambda _: Counter())
    """Such rows that are held by other days than the named ones, which are about to be written anew."""
    are_taken: bool = True
    """False for hours: the batch of the day takes such rows."""

    def fresh(self, rows: Path, kept: Collection[str]) -> Iterator[pa.Table]:
        """Of the rows in a file those that no other day holds, a batch at a time, when the `kept` days are written."""
        file = pq.ParquetFile(rows)
        if not (self.are_taken and file.metadata.num_rows):
            return
        held = self.held_beside(kept)
        for batch in file.iter_batches(BATCH_ROWS):
            table = pa.Table.from_batches([batch])
            yield table.filter(pa.array([not _take_from(held, key) for key in keys_of(table)], pa.bool_()))


def _take_from(held: Held, key: tuple[str, str]) -> bool:
    if not held[key]:
        return False
    held[key] -= 1
    return True


def keys_of(quarantine: pa.Table) -> list[tuple[str, str]]:
    """What tells rows of a quarantine apart."""
    return list(zip(*(quarantine.column(name).to_pylist() for name in ("reason", "raw")), strict=True))


def held_in(quarantines: Iterable[tuple[Path, int]]) -> Held:
    """The rows without a time in these quarantines: the last ones, as many as the number beside each path says."""
    found: Held = Counter()
    for path, count in quarantines:
        table = pq.read_table(path)
        found.update(keys_of(table.slice(table.num_rows - count)))
    return found


def files_of(rows: pa.Table) -> Counter[str | None]:
    """How many rows there are of each file."""
    counts = rows.column("source_file").value_counts().to_pylist()
    return Counter({row["values"]: row["counts"] for row in counts})


def bad_by_file(bad: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of each file the number of these rows, and place and reason of the first."""
    places = bad.select(["source_file", "source_row", "reason"])
    names = places.column("source_file").to_numpy()
    for file, count in files_of(bad).items():
        own = places.filter(pa.array(names == file))
        yield count, own.sort_by("source_row").slice(0, 1).to_pylist()[0]
