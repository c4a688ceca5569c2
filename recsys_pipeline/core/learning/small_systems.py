"""Symmetric positive definite systems of a few dozen unknowns, solved inside compiled loops over rows.

Matrices are lower triangles, row by row, of a size that is a multiple of 4 (what stands right of the diagonal is
scratch). All the work is in dot products of contiguous rows, four at a time: loops without stores need no test for
overlapping arrays, so short ones stay fast. On one core of the machine of `docs/benchmarks.md` 64 unknowns take 10 µs.
Readable twin: `numpy.linalg.solve`.
"""

from typing import no_type_check

import numba
import numpy as np

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be added in any order and fused with products, which is what compiles to wide instructions. NaN and infinity
keep their meaning."""
fast = numba.njit(nogil=True, cache=True, fastmath=FAST)
inlined = numba.njit(nogil=True, inline="always", fastmath=FAST)
"""For what is called once per rating: passing an array to a compiled function costs as much as a short dot product."""
LANES = 8
ZERO, ONE = np.float32(0), np.float32(1)


@inlined
@no_type_check
def four_products(left, i, right, j, n):
    """The dot products of row i of `left` with rows j to j + 3 of `right`, over the first n columns."""
    a = b = c = d = ZERO
    for k in range(n):
        common = left[i, k]
        a += common * right[j, k]
        b += common * right[j + 1, k]
        c += common * right[j + 2, k]
        d += common * right[j + 3, k]
    return a, b, c, d


@fast
@no_type_check
def add_products_of_rows(rows, first, last, n, matrix):
    """Add R Rᵀ to a lower triangle, R being the first n columns of rows first to last, a multiple of 4."""
    for i in range(first, last):
        for j in range(first, i + 1, 4):
            a, b, c, d = four_products(rows, i, rows, j, n)
            matrix[i - first, j - first] += a
            matrix[i - first, j - first + 1] += b
            matrix[i - first, j - first + 2] += c
            matrix[i - first, j - first + 3] += d


@fast
@no_type_check
def solve_in_place(matrix, right, n):
    """Replace `right` by the solution, and the triangle by its Cholesky factor. NaN where it has none."""
    _factorise(matrix, n)
    for i in range(n):  # forward
        known = ZERO
        for k in range(i):
            known += matrix[i, k] * right[k]
        right[i] = (right[i] - known) * matrix[i, i]
    for i in range(n - 1, -1, -1):  # back
        solved = right[i] * matrix[i, i]
        right[i] = solved
        for k in range(i):
            right[k] -= solved * matrix[i, k]


@fast
@no_type_check
def _factorise(matrix, n):
    """Cholesky, four columns at a time from left to right; the diagonal holds the factor's reciprocals."""
    for j in range(0, n, 4):
        for i in range(j, n):
            a, b, c, d = four_products(matrix, i, matrix, j, j)
            a, b, c, d = matrix[i, j] - a, matrix[i, j + 1] - b, matrix[i, j + 2] - c, matrix[i, j + 3] - d
            a = a * matrix[j, j] if i > j else ONE / np.sqrt(a)
            matrix[i, j] = a
            if i > j:
                b -= a * matrix[j + 1, j]
                b = b * matrix[j + 1, j + 1] if i > j + 1 else ONE / np.sqrt(b)
                matrix[i, j + 1] = b
            if i > j + 1:
                c -= a * matrix[j + 2, j] + b * matrix[j + 2, j + 1]
                c = c * matrix[j + 2, j + 2] if i > j + 2 else ONE / np.sqrt(c)
                matrix[i, j + 2] = c
            if i > j + 2:
                d -= a * matrix[j + 3, j] + b * matrix[j + 3, j + 1] + c * matrix[j + 3, j + 2]
                matrix[i, j + 3] = d * matrix[j + 3, j + 3] if i > j + 3 else ONE / np.sqrt(d)


@fast
@no_type_check
def product(matrices, which, vector, out):
    """`out = vectorᵀ matrices[which]`, four rows at a time; the size is a multiple of 4."""
    width = out.shape[0]
    for j in range(width):
        out[j] = ZERO
    for k in range(0, width, 4):
        a, b, c, d = vector[k], vector[k + 1], vector[k + 2], vector[k + 3]
        for j in range(width):
            out[j] += (
                a * matrices[which, k, j]
                + b * matrices[which, k + 1, j]
                + c * matrices[which, k + 2, j]
                + d * matrices[which, k + 3, j]
            )
