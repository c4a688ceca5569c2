"""What decides where the data does not: fixed hashes, so that no outcome hangs on names, age or the order of rows."""

import numpy as np
from jaxtyping import Int64, UInt64

from recsys_pipeline.core.types import Ratings


def mixed(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """A step of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): numbers that look random, the same everywhere."""
    x = x + np.uint64(0x9E3779B97F4A7C15)  # wraps around, as it should
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def mixed_columns(seed: int, *columns: np.ndarray) -> UInt64[np.ndarray, " n"]:
    """One number per row that depends on the seed and on every column (whole numbers), in their order.

    >>> bool((mixed_columns(0, np.arange(3)) == mixed_columns(1, np.arange(3))).any())
    False
    """
    found = mixed(np.full(len(columns[0]), seed % 2**64, np.uint64))
    for column in columns:
        found = mixed(found ^ column.astype(np.uint64))
    return found


def time_order(ratings: Ratings, tie_seed: int = 0) -> Int64[np.ndarray, " rows"]:
    """Row numbers by user, then time; rows of one user and instant in an order drawn by `tie_seed`.

    The lot of a row depends on its user, item and time alone. So it stays as days are added, and neither the order of
    rows nor an item's age decides which of the things of one second came last.
    """
    lots = mixed_columns(tie_seed, ratings.user, ratings.item, ratings.timestamp_us)
    return np.lexsort((ratings.value, lots, ratings.timestamp_us, ratings.user))
