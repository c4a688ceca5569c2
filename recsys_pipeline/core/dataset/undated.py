"""Rows without a usable time: no day is theirs, so they are put aside by the day that reads them first, and once.

A file that grows, or a table, gives them again with every reading. Those that other days hold already are told by what
they say (reason and row, whatever the line on which it stands now), each as often as it is held.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 20_000
Holders = dict[tuple[str, str], list[str]]
"""What a row says, and the days (by partition) that hold it, each as often as it does."""


@dataclass(frozen=True)
class Undated:
    """What becomes of rows without a usable time."""

    holders: Callable[[], Holders] = field(default=dict)
    """Such rows that stored days hold."""
    are_taken: bool = True
    """False for hours: the batch of the day takes such rows."""

    def held(self, rows: Path) -> Iterator[tuple[pa.Table, list[str | None]]]:
        """The rows in a file, a batch at a time, each with the day that holds it; None for one that is new."""
        file = pq.ParquetFile(rows)
        if not (self.are_taken and file.metadata.num_rows):
            return
        holders = self.holders()
        for batch in file.iter_batches(BATCH_ROWS):
            table = pa.Table.from_batches([batch])
            yield table, [holders[key].pop(0) if holders.get(key) else None for key in keys_of(table)]


def keys_of(quarantine: pa.Table) -> list[tuple[str, str]]:
    """What tells rows of a quarantine apart."""
    return list(zip(*(quarantine.column(name).to_pylist() for name in ("reason", "raw")), strict=True))


def holders_in(quarantines: Iterable[tuple[str, Path, int]]) -> Holders:
    """The rows without a time in the quarantines of days: the last ones, as many as the number of each says."""
    found: Holders = defaultdict(list)
    for partition, path, count in quarantines:
        table = pq.read_table(path)
        for key in keys_of(table.slice(table.num_rows - count)):
            found[key].append(partition)
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
