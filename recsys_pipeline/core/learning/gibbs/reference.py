"""The readable NumPy twins of `gibbs/kernels.py`: one row at a time, float64, every sum written out."""

import numpy as np

Array = np.ndarray


def draw_rows(
    row: Array, column: Array, target: Array, other: Array, mean: Array, precision: Array, tau: float, normals: Array
) -> tuple[Array, Array]:
    """Conditional means and draws of all rows; `precision` is `[rows, k]`, the ratings are in any order."""
    means, draws = np.empty(mean.shape), np.empty(mean.shape)
    for at in range(len(mean)):
        own = row == at
        theirs = other[column[own]].astype(float)
        design = np.column_stack([theirs[:, :-1], np.ones(len(theirs))])
        matrix = tau * design.T @ design + np.diag(precision[at])
        right = tau * design.T @ (target[own] - theirs[:, -1]) + precision[at] * mean[at]
        means[at] = np.linalg.solve(matrix, right)
        draws[at] = means[at] + np.linalg.solve(np.linalg.cholesky(matrix).T, normals[at])
    return means, draws


def residuals(row: Array, column: Array, target: Array, table: Array, other: Array) -> Array:
    """`target − (p·q + b + c)` of each rating."""
    own, theirs = table[row].astype(float), other[column].astype(float)
    return target - (own[:, :-1] * theirs[:, :-1]).sum(axis=1) - own[:, -1] - theirs[:, -1]


def draw_history(
    took: Array, weight: Array, free: Array, row_precision: Array, history: Array, precision: Array, normals: Array
) -> Array:
    """New history vectors; `took` is `[rows, columns]` of 0 and 1, `free` is `x − m`, `row_precision` `[rows, k]`."""
    drawn = history.astype(float)
    share = weight[:, None] * took
    for j in range(len(drawn)):
        others = free - share @ drawn + share[:, j : j + 1] * drawn[j]
        whole = precision + (share[:, j : j + 1] ** 2 * row_precision).sum(axis=0)
        middle = (share[:, j : j + 1] * row_precision * others).sum(axis=0) / whole
        drawn[j] = middle + normals[j] / np.sqrt(whole)
    return drawn
