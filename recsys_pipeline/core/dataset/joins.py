"""How well ids of one table join those of another: where they are written otherwise, nothing joins, in silence."""

import math
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.errors import DataError

SHOWN = 3


@dataclass(frozen=True)
class JoinShare:
    """What of a table's rows and ids is known to another table."""

    table: str
    rows: int
    rows_joined: int
    ids: int
    ids_joined: int
    missing: tuple[str, ...]
    """The most frequent ids that the other table lacks."""
    known: tuple[str, ...]
    """Ids of the other table: those that look most like the missing ones, where any do."""

    @property
    def share(self) -> float:
        """Of the rows; NaN where there are none."""
        return self.rows_joined / self.rows if self.rows else math.nan

    def told(self) -> str:
        """In words, with examples of both sides where something is missing."""
        count = "none" if not self.ids_joined else f"{self.ids_joined:,}"
        text = f"{count} of {self.ids:,} item ids of the {self.table} ({self.share:.1%} of its rows) in the catalogue"
        if not self.missing:
            return text
        return f"{text} ({', '.join(map(repr, self.missing))} against {', '.join(map(repr, self.known)) or 'none'})"

    def check(self, min_share: float) -> None:
        """Raise `DataError` where less than `min_share` of the rows join."""
        if self.share < min_share:
            raise DataError(
                f"{self.told()}: less than min_join_share = {min_share:g}. Map the column that holds the same ids, or "
                "write them alike; lower dataset/joins.min_join_share if so many items are missing from the catalogue"
            )


def join_share(table: str, ids: pa.ChunkedArray, catalogue: pa.ChunkedArray) -> JoinShare:
    """Measure how the ids of a table's rows join the catalogue's."""
    counted = ids.value_counts()
    names, rows = counted.field("values").to_numpy(False), counted.field("counts").to_numpy()
    known = set(catalogue.to_pylist())
    is_known = np.array([name in known for name in names], bool)
    order = np.lexsort((names[~is_known].astype(str), -rows[~is_known]))
    missing = names[~is_known][order][:SHOWN].tolist()
    return JoinShare(
        table, int(rows.sum()), int(rows[is_known].sum()), len(names), int(is_known.sum()), tuple(missing),
        _most_alike(missing, sorted(known)),
    )  # fmt: skip


def _most_alike(missing: list[str], known: list[str]) -> tuple[str, ...]:
    """Known ids that differ from missing ones in case, signs, blanks or leading zeros alone; else the first."""
    if not missing:
        return ()
    bare = {_bare(name): name for name in known}
    alike = [bare[_bare(name)] for name in missing if _bare(name) in bare]
    return tuple(alike or known[:SHOWN])


def _bare(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower()).lstrip("0")
