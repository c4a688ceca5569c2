"""Compiled passes over whole tables and ratings: Gramians, changes of basis, squared errors.

Sums are float32 within 64 rows and float64 beyond, so that a Gramian over millions of rows keeps its digits.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64

from recsys_pipeline.core.learning.row_threads import even_ranges, run_over_ranges
from recsys_pipeline.core.learning.small_systems import LANES, ZERO, add_products_of_rows, fast, product

AT_ONCE = 64
JACOBI_WIDTH = 256


def gramian(table: Float32[np.ndarray, "rows width"]) -> Float64[np.ndarray, "width width"]:
    """TᵀT; the width is a multiple of 8."""
    lower = sum(run_over_ranges(_gramian, even_ranges(len(table)), table), np.zeros((table.shape[1],) * 2))
    return np.tril(lower) + np.tril(lower, -1).T


def eigenbasis(
    matrix: Float64[np.ndarray, "width width"],
) -> tuple[Float64[np.ndarray, " width"], Float64[np.ndarray, "width width"]]:
    """Eigenvalues and, as columns, eigenvectors of a positive semidefinite matrix, in no particular order.

    Up to a width of `JACOBI_WIDTH` by one-sided Jacobi rotations (Hestenes 1958; Golub & Van Loan, section 8.6.3): 64
    columns take 0.5 ms and 256 take 29 ms. The readable twin, `numpy.linalg.eigh`, waits for the threads of its BLAS:
    49 ms for 64 columns on two busy cores, a fifth of a fit on Gowalla.
    """
    if len(matrix) > JACOBI_WIDTH:
        return np.linalg.eigh(matrix)
    turned, turn = matrix.copy(), np.eye(len(matrix))
    _orthogonalise(turned, turn)
    return np.einsum("ij,ij->i", turned, turn), np.ascontiguousarray(turn.T)


def change_basis(table: Float32[np.ndarray, "rows width"], basis: Float32[np.ndarray, "width width"]) -> None:
    """T ← T B, in place."""
    run_over_ranges(_change_basis, even_ranges(len(table)), table, basis[None])


@fast
@no_type_check
def _gramian(first, last, table):
    width = table.shape[1]
    total = np.zeros((width, width), np.float64)
    columns, part = np.zeros((width, AT_ONCE + LANES), np.float32), np.zeros((width, width), np.float32)
    for begin in range(first, last, AT_ONCE):
        for j in range(AT_ONCE):
            for k in range(width):
                columns[k, j] = table[begin + j, k] if begin + j < last else ZERO
        for i in range(width):
            for j in range(width):
                part[i, j] = ZERO
        add_products_of_rows(columns, 0, width, AT_ONCE, part)
        for i in range(width):
            for j in range(width):
                total[i, j] += part[i, j]
    return total


@fast
@no_type_check
def _change_basis(first, last, table, bases):
    before, after = np.zeros(table.shape[1], np.float32), np.zeros(table.shape[1], np.float32)
    for row in range(first, last):
        for k in range(table.shape[1]):
            before[k] = table[row, k]
        product(bases, 0, before, after)
        for k in range(table.shape[1]):
            table[row, k] = after[k]


@fast
@no_type_check
def add_errors(first, last, start, column, value, root_weight, left, right):
    """Σ a (r − û) and Σ a (r − û)² over the ratings of rows first to last; û is the dot product of the vectors."""
    residual, squared = 0.0, 0.0
    for row in range(first, last):
        for at in range(start[row], start[row + 1]):
            root = root_weight[at] if root_weight.shape[0] > 1 else root_weight[0]
            given = value[at] if value.shape[0] > 1 else value[0]
            other = column[at]
            score = ZERO
            for k in range(left.shape[1]):
                score += left[row, k] * right[other, k]
            error = np.float64(root) * (np.float64(given) - np.float64(score))
            residual += root * error
            squared += error * error
    return residual, squared


@fast
@no_type_check
def _orthogonalise(turned, turn):
    """Rotate pairs of rows until all are orthogonal, and the rows of `turn` with them."""
    n, largest = turned.shape[0], 0.0
    for i in range(n):
        for k in range(n):
            largest += turned[i, k] * turned[i, k]
    for _ in range(30):  # eight to ten sweeps are enough
        rotated = False
        for p in range(n - 1):
            for q in range(p + 1, n):
                own, other, both = 0.0, 0.0, 0.0
                for k in range(n):
                    own += turned[p, k] * turned[p, k]
                    other += turned[q, k] * turned[q, k]
                    both += turned[p, k] * turned[q, k]
                if abs(both) <= 1e-11 * np.sqrt(own * other) or abs(both) <= 1e-24 * largest:
                    continue
                rotated = True
                slope = (other - own) / (2 * both)
                tangent = (1.0 if slope >= 0 else -1.0) / (abs(slope) + np.sqrt(1 + slope * slope))
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                sine = cosine * tangent
                for k in range(n):
                    a, b = turned[p, k], turned[q, k]
                    turned[p, k], turned[q, k] = cosine * a - sine * b, sine * a + cosine * b
                    c, d = turn[p, k], turn[q, k]
                    turn[p, k], turn[q, k] = cosine * c - sine * d, sine * c + cosine * d
        if not rotated:
            break
