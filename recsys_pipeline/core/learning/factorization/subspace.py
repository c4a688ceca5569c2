"""One row of blockwise alternating least squares: an exact Newton step per block of coordinates, one after another.

Rendle, Krichene, Zhang & Koren, "iALS++: Speeding up Matrix Factorization with Subspace Optimization", 2021. There the
blocks are of the plain coordinates; here of the rotated ones of `factorization/kernels.py`, which gravity does not
couple. A row of n ratings costs O(n d · block) and not O(n d²).
"""

from typing import no_type_check

import numpy as np

from recsys_pipeline.core.learning.factorization.gather import gather_columns
from recsys_pipeline.core.learning.small_systems import (
    LANES,
    ZERO,
    add_products_of_rows,
    fast,
    inlined,
    solve_in_place,
)

BLOCK = 16
"""Coordinates of one subspace; a multiple of 8."""


@fast
@no_type_check
def subspaces(start, n, column, value, root_weight, design, offset, columns, diagonal, pull, x, step, residual, matrix):
    width, kept = x.shape[0], columns.shape[1] - LANES
    given = np.zeros(columns.shape[1], np.float32)
    for first in range(0, n, kept):
        m = min(kept, n - first)
        padded = gather_columns(start + first, m, column, value, root_weight, design, offset, columns, given)
        for k in range(width):
            _subtract(columns, k, x[k], given, padded)
        for j in range(m):
            residual[first + j] = given[j]
    for low in range(0, width, BLOCK):
        high = min(low + BLOCK, width)
        for k in range(low, high):
            step[k - low] = pull[k] - diagonal[k] * x[k]
            for other in range(high - low):
                matrix[k - low, other] = ZERO
            matrix[k - low, k - low] = diagonal[k]
        for first in range(0, n, kept):
            m = min(kept, n - first)
            if n > kept:
                gather_columns(start + first, m, column, value, root_weight, design, offset, columns, given)
            add_products_of_rows(columns, low, high, (m + LANES - 1) & -LANES, matrix)
            for k in range(low, high):
                total = ZERO
                for j in range(m):
                    total += columns[k, j] * residual[first + j]
                step[k - low] += total
        solve_in_place(matrix, step, high - low)
        for first in range(0, n, kept):
            m = min(kept, n - first)
            if n > kept:
                gather_columns(start + first, m, column, value, root_weight, design, offset, columns, given)
            for k in range(low, high):
                change = step[k - low]
                for j in range(m):
                    residual[first + j] -= change * columns[k, j]
        for k in range(low, high):
            x[k] += step[k - low]


@inlined
@no_type_check
def _subtract(columns, k, factor, out, n):
    for j in range(n):
        out[j] -= factor * columns[k, j]
