"""The compiled row solvers of alternating least squares: each row is a ridge regression.

A row's equations, in the basis in which gravity's Gramian is diagonal (`factorization/cpu.py` makes it), are

    (ẐᵀẐ + diag(λ)) x = p + Ẑᵀ r̂,    ẑ = √a z,  r̂ = √a (r − o),  λ = g · eigenvalues + ridge

so a row of n ratings costs O(n d) to multiply by, and never O(d²). The rows Ẑ are gathered once and then stay in cache.
Three ways to solve it, over which the caller chooses:

- exact: Cholesky, of the d × d matrix, or for a row of few ratings of the n × n matrix I + Ẑ λ⁻¹ Ẑᵀ (Woodbury);
- conjugate gradients from the present row, preconditioned by the diagonal λ + Σ ẑ² (Takács, Pilászy & Tikk,
  "Applications of the conjugate gradient method for implicit feedback collaborative filtering", RecSys 2011), for
  `steps`, or until a step would be shorter than `tolerance` of the row;
- subspace: blocks of coordinates, one after another (`factorization/subspace.py`).

The readable twins are `factorization/reference.py` (NumPy, one row at a time) and `factorization/jax_solver.py`, both
exact.
"""

from typing import no_type_check

import numpy as np

from recsys_pipeline.core.learning.factorization.gather import gather_columns, gather_rows, products_with, weighted
from recsys_pipeline.core.learning.factorization.subspace import subspaces
from recsys_pipeline.core.learning.small_systems import (
    LANES,
    ONE,
    ZERO,
    add_products_of_rows,
    fast,
    product,
    solve_in_place,
)

EXACT, GRADIENTS, SUBSPACE = 0, 1, 2
FEW = 48
"""Rows of at most so many ratings are solved by the n × n matrix, where that is the smaller one. A multiple of 8."""
CACHED = 4096
"""Ratings of a row whose vectors are kept; those past it are gathered again at each pass. A multiple of 8."""
AT_ONCE = 64
"""Ratings whose vectors are gathered at once for a d × d matrix; a multiple of 8."""


@fast
@no_type_check
def solve_rows(
    first, last, start, column, value, root_weight, design, offset, eigenvalues, pull, basis, ridge, scale,
    factor, bias, method, steps, tolerance,
):  # fmt: skip
    """Solve rows first to last: `factor[row]` and `bias[row]` hold the present solution, and then the new one.

    `design` is [columns, width] in the basis; `basis` is [2, width, width], from plain to rotated and back, of size 0
    where they are the same; `scale` is what a bias is multiplied by to be a plain coordinate, 0 where there is none.
    """
    width, longest = design.shape[1], 0
    for row in range(first, last):
        longest = max(longest, start[row + 1] - start[row])
    kept = min((longest + LANES - 1) & -LANES, CACHED)
    rows = np.zeros((kept + LANES if method == GRADIENTS else FEW, width), np.float32)
    # Not a power of two apart, or a gathered vector's coordinates would all compete for one cache line.
    columns = np.zeros((width, LANES + (kept if method == SUBSPACE else AT_ONCE)), np.float32)
    residual = np.zeros(longest + LANES, np.float32)
    matrix = np.zeros((max(width, FEW), max(width, FEW)), np.float32)
    x, plain, diagonal = np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, np.float32)
    r, p, q, inverse = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for row in range(first, last):
        begin, n = start[row], start[row + 1] - start[row]
        if n == 0:
            factor[row] = ZERO
            bias[row] = ZERO
            continue
        for k in range(width):
            diagonal[k] = eigenvalues[k] + ridge[row]
        if method != EXACT:
            _to_basis(factor, bias, row, scale, basis, plain, x)
        if method == GRADIENTS:
            _conjugate_gradients(
                begin, n, column, value, root_weight, design, offset, rows, diagonal, pull, x, r, p, q, inverse,
                residual, steps, tolerance,
            )  # fmt: skip
        elif method == SUBSPACE:
            subspaces(
                begin, n, column, value, root_weight, design, offset, columns, diagonal, pull, x, r, residual, matrix
            )
        elif n <= FEW and n < width:
            _few_ratings(
                begin, n, column, value, root_weight, design, offset, rows, diagonal, pull, x, r, p, residual, matrix
            )
        else:
            _many_ratings(
                begin, n, column, value, root_weight, design, offset, columns, diagonal, pull, x, residual, matrix
            )
        _from_basis(basis, x, plain, factor, bias, row, scale)


@fast
@no_type_check
def _to_basis(factor, bias, row, scale, basis, plain, x):
    d = factor.shape[1]
    for k in range(x.shape[0]):
        plain[k] = factor[row, k] if k < d else ZERO
    if scale > 0:
        plain[d] = bias[row] / scale
    if basis.shape[0] == 0:
        x[:] = plain
    else:
        product(basis, 0, plain, x)


@fast
@no_type_check
def _from_basis(basis, x, plain, factor, bias, row, scale):
    d = factor.shape[1]
    if basis.shape[0] == 0:
        plain[:] = x
    else:
        product(basis, 1, x, plain)
    for k in range(d):
        factor[row, k] = plain[k]
    bias[row] = scale * plain[d] if scale > 0 else ZERO


@fast
@no_type_check
def _conjugate_gradients(
    start, n, column, value, root_weight, design, offset, rows, diagonal, pull, x, r, p, q, inverse, given,
    steps, tolerance,
):  # fmt: skip
    width, kept = x.shape[0], rows.shape[0] - LANES
    for k in range(width):
        p[k] = x[k]
        r[k] = pull[k] - diagonal[k] * x[k]
        inverse[k] = diagonal[k]
    for j in range(0, n, 4):
        at = min(j, kept)
        gather_rows(start, n, j, at, column, value, root_weight, design, offset, rows, given)
        a, b, c, d = products_with(x, rows, at)
        a, b, c, d = given[0] - a, given[1] - b, given[2] - c, given[3] - d
        for k in range(width):
            e, f, g, h = rows[at, k], rows[at + 1, k], rows[at + 2, k], rows[at + 3, k]
            r[k] += a * e + b * f + c * g + d * h
            inverse[k] += e * e + f * f + g * g + h * h
    size = ZERO
    for k in range(width):
        inverse[k] = ONE / inverse[k]
        p[k] = r[k] * inverse[k]
        size += p[k] * r[k]
    for _ in range(steps):
        norm = ZERO
        for k in range(width):
            norm += x[k] * x[k] / inverse[k]
            q[k] = diagonal[k] * p[k]
        if size <= tolerance * tolerance * norm or size == ZERO:
            break
        for j in range(0, n, 4):
            at = min(j, kept)
            if j >= kept:
                gather_rows(start, n, j, at, column, value, root_weight, design, offset, rows, given)
            a, b, c, d = products_with(p, rows, at)
            for k in range(width):
                q[k] += a * rows[at, k] + b * rows[at + 1, k] + c * rows[at + 2, k] + d * rows[at + 3, k]
        curvature, before = ZERO, size
        for k in range(width):
            curvature += p[k] * q[k]
        length, size = before / curvature, ZERO
        for k in range(width):
            x[k] += length * p[k]
            r[k] -= length * q[k]
            size += r[k] * r[k] * inverse[k]
        for k in range(width):
            p[k] = r[k] * inverse[k] + size / before * p[k]


@fast
@no_type_check
def _few_ratings(
    start, n, column, value, root_weight, design, offset, rows, diagonal, pull, x, root, y, residual, matrix
):
    width, padded = x.shape[0], (n + 3) & -4
    for k in range(width):
        root[k] = ONE / np.sqrt(diagonal[k])
        y[k] = root[k] * pull[k]
    for j in range(padded):
        source = column[start + min(j, n - 1)]
        inside = ONE if j < n else ZERO
        weight, given = weighted(start + min(j, n - 1), column, value, root_weight, offset)
        weight *= inside
        score = ZERO
        for k in range(width):
            scaled = weight * design[source, k] * root[k]
            rows[j, k] = scaled
            score += scaled * y[k]
        residual[j] = inside * given - score
    for i in range(padded):
        for j in range(padded):
            matrix[i, j] = ZERO
        matrix[i, i] = ONE
    add_products_of_rows(rows, 0, padded, width, matrix)
    solve_in_place(matrix, residual, padded)
    for j in range(0, padded, 4):
        a, b, c, d = residual[j], residual[j + 1], residual[j + 2], residual[j + 3]
        for k in range(width):
            y[k] += a * rows[j, k] + b * rows[j + 1, k] + c * rows[j + 2, k] + d * rows[j + 3, k]
    for k in range(width):
        x[k] = root[k] * y[k]


@fast
@no_type_check
def _many_ratings(start, n, column, value, root_weight, design, offset, columns, diagonal, pull, x, given, matrix):
    width = x.shape[0]
    for i in range(width):
        x[i] = pull[i]
        for j in range(width):
            matrix[i, j] = ZERO
        matrix[i, i] = diagonal[i]
    for first in range(0, n, AT_ONCE):
        padded = gather_columns(
            start + first, min(AT_ONCE, n - first), column, value, root_weight, design, offset, columns, given
        )
        add_products_of_rows(columns, 0, width, padded, matrix)
        for k in range(width):
            total = ZERO
            for j in range(padded):
                total += columns[k, j] * given[j]
            x[k] += total
    solve_in_place(matrix, x, width)
