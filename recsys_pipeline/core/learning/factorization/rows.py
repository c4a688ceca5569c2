"""One side's ratings in compressed sparse rows: what the compiled solvers walk.

Values and weights that are all alike are stored once, so that implicit feedback costs four bytes a rating and side.
"""

from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Float32, Int32, Int64

compiled = numba.njit(nogil=True, cache=True)


class RatingRows(NamedTuple):
    """The ratings of row r are those from `start[r]` to `start[r + 1]`, in the order in which they were given."""

    start: Int64[np.ndarray, " rows_and_end"]
    column: Int32[np.ndarray, " ratings"]
    value: Float32[np.ndarray, " ratings_or_one"]
    root_weight: Float32[np.ndarray, " ratings_or_one"]

    @property
    def n_rows(self) -> int:
        return len(self.start) - 1


def rating_rows(
    ids: Int32[np.ndarray, " n"],
    columns: Int32[np.ndarray, " n"],
    values: Float32[np.ndarray, " n"],
    weight: Float32[np.ndarray, " n"],
    n_rows: int,
) -> RatingRows:
    """Sort the ratings by row id, stably, in linear time and without an index array."""
    start = np.concatenate([[0], np.cumsum(row_lengths(ids, n_rows))]).astype(np.int64)
    return RatingRows(
        start,
        _by_row(ids, start, columns),
        _by_row(ids, start, _one_if_alike(values)),
        np.sqrt(_by_row(ids, start, _one_if_alike(weight))),
    )


def row_lengths(ids: Int32[np.ndarray, " n"], n_rows: int) -> Int64[np.ndarray, " n_rows"]:
    """How often each id is there; `np.bincount` without its copy of the ids."""
    lengths = np.zeros(n_rows, np.int64)
    _count(ids, lengths)
    return lengths


def summed_weights(
    ids: Int32[np.ndarray, " n"], weight: Float32[np.ndarray, " n"], n_rows: int
) -> Float32[np.ndarray, " n_rows"]:
    """The summed weight of each id, added in float64; `np.bincount` without its copies."""
    total = np.zeros(n_rows, np.float64)
    _add_weights(ids, weight, total)
    return total.astype(np.float32)


def _one_if_alike(column: np.ndarray) -> np.ndarray:
    return column[:1].copy() if len(column) and (column == column[0]).all() else column


def _by_row(ids: np.ndarray, start: np.ndarray, column: np.ndarray) -> np.ndarray:
    if len(column) != len(ids):
        return column
    out = np.empty_like(column)
    _place(ids, start[:-1].copy(), column, out)
    return out


@compiled
@no_type_check
def _count(ids, count):
    for row in ids:
        count[row] += 1


@compiled
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def _place(ids, next_place, column, out):
    for at in range(ids.shape[0]):
        row = ids[at]
        out[next_place[row]] = column[at]
        next_place[row] += 1


@compiled
@no_type_check
def _add_weights(ids, weight, total):
    for at in range(ids.shape[0]):
        total[ids[at]] += weight[at]
