"""How the row solvers fetch what a row's ratings point to: vectors √a z and residuals √a (r − o), into small arrays.

Inlined, because they run once per rating. Names and symbols are those of `factorization/kernels.py`.
"""

from typing import no_type_check

from recsys_pipeline.core.learning.small_systems import LANES, ZERO, inlined


@inlined
@no_type_check
def weighted(at, column, value, root_weight, offset):
    """√a and √a (r − o) of a rating."""
    root = root_weight[at] if root_weight.shape[0] > 1 else root_weight[0]
    given = value[at] if value.shape[0] > 1 else value[0]
    return root, root * (given - offset[column[at]])


@inlined
@no_type_check
def gather_rows(start, n, j, place, column, value, root_weight, design, offset, rows, given):
    """Put the vectors √a z of ratings j to j + 3 at rows from `place`, √a (r − o) at `given`; zeros past n."""
    for i in range(4):
        if j + i < n:
            source = column[start + j + i]
            root, given[i] = weighted(start + j + i, column, value, root_weight, offset)
            for k in range(design.shape[1]):
                rows[place + i, k] = root * design[source, k]
        else:
            given[i] = ZERO
            for k in range(design.shape[1]):
                rows[place + i, k] = ZERO


@inlined
@no_type_check
def gather_columns(start, n, column, value, root_weight, design, offset, columns, given):
    """The vectors √a z of n ratings as columns, and their √a (r − o); zeros up to the next multiple of 8."""
    padded = (n + LANES - 1) & -LANES
    for j in range(n):
        source = column[start + j]
        root, given[j] = weighted(start + j, column, value, root_weight, offset)
        for k in range(design.shape[1]):
            columns[k, j] = root * design[source, k]
    for k in range(design.shape[1]):
        for j in range(n, padded):
            columns[k, j] = ZERO
    for j in range(n, padded):
        given[j] = ZERO
    return padded


@inlined
@no_type_check
def products_with(vector, rows, at):
    a = b = c = d = ZERO
    for k in range(vector.shape[0]):
        a += vector[k] * rows[at, k]
        b += vector[k] * rows[at + 1, k]
        c += vector[k] * rows[at + 2, k]
        d += vector[k] * rows[at + 3, k]
    return a, b, c, d
