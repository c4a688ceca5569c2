"""Sparse user × item values, in the order in which they came, and in that of time."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.hashing import mix_columns


@dataclass(frozen=True)
class Ratings:
    """Sparse user × item values in coordinate form; ids are dense row numbers of the snapshot's id maps.

    `timestamp_us` is microseconds since the epoch, UTC. Ids are checked here, once, because JAX clamps
    out-of-range gathers silently.
    """

    user: Int32[np.ndarray, " n"]
    item: Int32[np.ndarray, " n"]
    value: Float32[np.ndarray, " n"]
    timestamp_us: Int64[np.ndarray, " n"]
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        lengths = {len(self.user), len(self.item), len(self.value), len(self.timestamp_us)}
        if len(lengths) != 1:
            raise DataError(f"ratings columns differ in length: {sorted(lengths)}")
        for name, ids, size in (("user", self.user, self.n_users), ("item", self.item, self.n_items)):
            if len(ids) and not (ids.min() >= 0 and ids.max() < size):
                raise DataError(f"{name} ids span {ids.min()}..{ids.max()}, outside 0..{size - 1}: rebuild the id map")
        if not np.isfinite(self.value).all():
            row = int(np.flatnonzero(~np.isfinite(self.value))[0])
            raise DataError(f"rating in row {row} is {self.value[row]}: values must be finite")

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> "Ratings":
        """The given rows (indices or a mask), with the same id space."""
        return dataclasses.replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            value=self.value[rows],
            timestamp_us=self.timestamp_us[rows],
        )


def time_order(ratings: Ratings, tie_seed: int = 0) -> Int64[np.ndarray, " rows"]:
    """Row numbers by user, then time; rows of one user and instant in an order drawn by `tie_seed`.

    The lot of a row depends on its user, item and time alone. So it stays as days are added, and neither the order of
    rows nor an item's age decides which of the things of one second came last.
    """
    lots = mix_columns(tie_seed, ratings.user, ratings.item, ratings.timestamp_us)
    return np.lexsort((ratings.value, lots, ratings.timestamp_us, ratings.user))
