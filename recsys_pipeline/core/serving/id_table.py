"""From an id to its row and back, in a table that is mapped from the disk: nothing is made per stored id.

Ids are found by binary search among sorted 64-bit hashes, and what is found is compared with the id's text, so that two
ids of one hash are told apart.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt64

from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.hashing import text_hashes

IDS = "ids.arrow"
SCHEMA = pa.schema([("id", pa.large_string()), ("hash", pa.uint64()), ("row", pa.int64())])
"""`id` in the order of rows; `hash` in ascending order, and for each the `row` that it is of."""


class IdTable:
    """Unique ids, one per row: `rows` finds them in O(asked · log n), `ids` gives their text back.

    >>> IdTable.of(["chair", "lamp"]).rows(["lamp", "sofa"]).tolist()
    [1, -1]
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return self._table.num_rows

    @classmethod
    def of(cls, ids: Sequence[str] | np.ndarray) -> "IdTable":
        """The table of these ids; raises `DataError` where one stands twice."""
        hashes = text_hashes(ids)
        row = np.argsort(hashes, kind="stable")
        table = pa.table([pa.array(ids, pa.large_string()), pa.array(hashes[row]), pa.array(row)], schema=SCHEMA)
        found = cls(table)
        again = np.flatnonzero(found.rows(ids) != np.arange(len(ids)))
        if len(again):
            raise DataError(f"id {ids[int(again[0])]!r} stands more than once: ids must be unique")
        return found

    def rows(self, ids: Sequence[str] | np.ndarray) -> Int64[np.ndarray, " asked"]:
        """The row of each id; −1 for ids that are not in the table. The lowest row of an id that stands twice."""
        found = np.full(len(ids), -1, np.int64)
        if not len(ids) or not len(self):
            return found
        hashes, asked = text_hashes(ids), np.asarray(ids, object)
        at = np.searchsorted(self._hash, hashes)
        open_ = np.arange(len(hashes))
        while len(open_):  # once, unless different ids have one hash
            open_ = open_[at[open_] < len(self)]
            open_ = open_[self._hash[at[open_]] == hashes[open_]]  # else no row has its hash (any more)
            rows = self._row[at[open_]]
            same = self.ids(rows).to_numpy() == asked[open_]
            found[open_[same]] = rows[same]
            open_ = open_[~same]
            at[open_] += 1
        return found

    def ids(self, rows: Int64[np.ndarray, " asked"]) -> pa.ChunkedArray:
        """The ids of rows."""
        return self._table.column("id").take(pa.array(rows))

    def all_ids(self) -> pa.ChunkedArray:
        """Every id, in the order of rows, without a copy."""
        return self._table.column("id")

    @cached_property
    def hashes(self) -> UInt64[np.ndarray, " n"]:
        """`text_hashes` of every id, in the order of rows."""
        found = np.empty(len(self), np.uint64)
        found[self._row] = self._hash
        return found

    def save(self, directory: Path) -> None:
        """Write `ids.arrow`: an Arrow file, uncompressed, so that it can be mapped."""
        directory.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(directory / IDS), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(self._table.combine_chunks())

    @classmethod
    def load(cls, directory: Path) -> "IdTable":
        """Map what `save` wrote; raises `ArtifactError` where it is missing or of another shape."""
        try:
            with pa.memory_map(str(directory / IDS)) as source:
                table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"{directory / IDS} is not readable ({error}): materialize it again") from error
        if table.schema != SCHEMA:
            raise ArtifactError(f"{directory / IDS} has columns {table.schema.names}, not {SCHEMA.names}: make it anew")
        return cls(table)

    @cached_property
    def _hash(self) -> UInt64[np.ndarray, " n"]:
        return self._table.column("hash").to_numpy()

    @cached_property
    def _row(self) -> Int64[np.ndarray, " n"]:
        return self._table.column("row").to_numpy()
