"""The inner loops of fused training: one ridge regression per row and lane, eight lanes side by side.

A lane is one fit of one trial on one fold. What differs between lanes lies next to each other in memory, so that the
eight numbers of a machine vector are eight fits, and small embedding sizes fill it as well as large ones. A symmetric
matrix per lane is stored by diagonals: entry (i, j), i ≥ j, of all lanes stands in row i − j, from position 8 j on. A
sum of outer products then runs along contiguous memory, whatever the size:

    matrix[s, x] += Σ weighted[x] · z[x + 8 s]

Four ratings (or four columns of the Cholesky factor) are added at once, because reading and writing the matrix costs
as much as the arithmetic. A rating's z is `[r − o, v, 1]`: the residual comes first, so that the right side of the
normal equations rides along as column 0 of the matrix. The factorisation goes from the last pivot to the first
(A = U Uᵀ), which leaves the residual for the end, solves the first triangle on its way, and keeps what is left of the
matrix at the start of every diagonal.

The readable twin is `sweeps/fused_jax.py`.
"""

from typing import no_type_check

import numba
import numpy as np

LANES = 8
"""Fits side by side: eight float32 fill a 256-bit register, the width that compilers choose for current CPUs."""

AT_ONCE = 4
"""Outer products added to a matrix at once."""

compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
"""Sums may be taken in any order; NaN and infinity keep their meaning, because they mark a fit that broke."""


@compiled
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def _add_outer(matrix, w, z, n):
    """Add Σ w zᵀ, four vectors at once, to the leading n × n entries.

    Loops start at 0 and rows are taken out before them: numba guards any other index against being negative, at a
    fifth of the speed.
    """
    w0, w1, w2, w3, z0, z1, z2, z3 = w[0], w[1], w[2], w[3], z[0], z[1], z[2], z[3]
    for s in range(n):
        diagonal, shift = matrix[s], s * LANES
        for x in range(n * LANES - shift):
            diagonal[x] += w0[x] * z0[x + shift] + w1[x] * z1[x + shift] + w2[x] * z2[x + shift] + w3[x] * z3[x + shift]


@compiled
@no_type_check
def _scale(out, z, weight, n):
    """`out = z · weight`, one weight per lane. All reads precede all writes, which lets the compiler use vectors."""
    w0, w1, w2, w3 = weight[0], weight[1], weight[2], weight[3]
    w4, w5, w6, w7 = weight[4], weight[5], weight[6], weight[7]
    for i in range(n):
        x = i * LANES
        a, b, c, d = z[x] * w0, z[x + 1] * w1, z[x + 2] * w2, z[x + 3] * w3
        e, f, g, h = z[x + 4] * w4, z[x + 5] * w5, z[x + 6] * w6, z[x + 7] * w7
        out[x], out[x + 1], out[x + 2], out[x + 3] = a, b, c, d
        out[x + 4], out[x + 5], out[x + 6], out[x + 7] = e, f, g, h


@compiled
@no_type_check
def _factor(matrix, columns, minus, scratch, n):
    """A = U Uᵀ from the last pivot to pivot 1; column p of U is `columns[p]`. Place 0 is the right side, no pivot."""
    top = n - 1
    while top >= 1:
        left = max(top - AT_ONCE, 0)
        for p in range(top, left, -1):
            column = columns[p]
            for j in range(p + 1):
                diagonal = matrix[p - j]
                for lane in range(LANES):
                    column[j * LANES + lane] = diagonal[j * LANES + lane]
            for done in range(top, p, -1):
                _scale(scratch, columns[done], columns[done][p * LANES :], p + 1)
                for x in range((p + 1) * LANES):
                    column[x] -= scratch[x]
            for lane in range(LANES):
                scratch[lane] = 1 / np.sqrt(column[p * LANES + lane])
            _scale(column, column, scratch, p + 1)
        if left:
            panel = columns[left + 1 : top + 1]
            for q in range(AT_ONCE):
                for x in range((left + 1) * LANES):
                    minus[q, x] = -panel[q, x]
            _add_outer(matrix, minus, panel, left + 1)
        top = left


@compiled
@no_type_check
def _substitute(columns, n, out):
    """The solution of the second triangle, Uᵀ x = y, where place 0 of each column is its y."""
    for p in range(1, n):
        column = columns[p]
        for lane in range(LANES):
            total = column[lane]
            for j in range(1, p):
                total -= column[j * LANES + lane] * out[(j - 1) * LANES + lane]
            out[(p - 1) * LANES + lane] = total / column[p * LANES + lane]


@compiled
@no_type_check
def solve_range(first, last, starts, columns, values, weights, target, design, base, ridge, strength, out):
    """Solve rows `first` to `last` against the fixed side's `design`; arguments as in `fused_sweep_lanes.Side`.

    Empty `weights` stand for weights of 1.
    """
    n = design.shape[1] // LANES
    matrix = np.empty((n, n * LANES), np.float32)
    z, weighted = np.zeros((AT_ONCE, n * LANES), np.float32), np.zeros((AT_ONCE, n * LANES), np.float32)
    factor, minus = np.zeros((n, n * LANES), np.float32), np.zeros((AT_ONCE, n * LANES), np.float32)
    scratch = np.zeros(n * LANES, np.float32)
    if not len(weights):
        weighted = z
    for row in range(first, last):
        matrix[:] = base
        for j in range(1, n):
            for lane in range(LANES):
                matrix[0, j * LANES + lane] += ridge[j - 1, lane] * strength[row, lane]
        for at in range(starts[row], starts[row + 1], AT_ONCE):
            for q in range(AT_ONCE):
                if at + q < starts[row + 1]:
                    _gather(z[q], design[columns[at + q]], values[at + q], target)
                    if len(weights):
                        _scale(weighted[q], z[q], weights[at + q], n)
                else:
                    weighted[q][:] = 0
            _add_outer(matrix, weighted, z, n)
        _factor(matrix, factor, minus, scratch, n)
        _substitute(factor, n, out[row])


@compiled
@no_type_check
def _gather(z, vector, value, target):
    """`[r − o, v, 1]` of one rating: the fixed side's vector, which begins with the offset o."""
    for x in range(z.shape[0]):
        z[x] = vector[x]
    for lane in range(LANES):
        z[lane] = target[0, lane] * value + target[1, lane] - vector[lane]


@compiled
@no_type_check
def gram_range(first, last, design):
    """Σ z zᵀ over rows `first` to `last` of the design."""
    n = design.shape[1] // LANES
    z, total = np.zeros((AT_ONCE, n * LANES), np.float32), np.zeros((n, n * LANES), np.float32)
    for at in range(first, last, AT_ONCE):
        z[:] = 0
        for q in range(min(AT_ONCE, last - at)):
            z[q] = design[at + q]
        _add_outer(total, z, z, n)
    return total


@compiled
@no_type_check
def residual_range(first, last, starts, columns, values, weights, target, solution, design):
    """Per lane, Σ a (r − o − x·z) over the ratings of rows `first` to `last`, in double precision."""
    dots, total = np.empty(LANES, np.float32), np.zeros(LANES, np.float64)
    one = np.ones(LANES, np.float32)
    for row in range(first, last):
        x = solution[row]
        for at in range(starts[row], starts[row + 1]):
            z, weight = design[columns[at]], weights[at] if len(weights) else one
            for lane in range(LANES):
                dots[lane] = z[lane]
            for start in range(0, x.shape[0], LANES):
                for lane in range(LANES):
                    dots[lane] += x[start + lane] * z[start + LANES + lane]
            for lane in range(LANES):
                total[lane] += weight[lane] * (target[0, lane] * values[at] + target[1, lane] - dots[lane])
    return total
