"""Weighted ridge regression in closed form, its penalty chosen by the exact leave-one-out error.

minimise Σᵢ wᵢ ‖yᵢ − b − xᵢB‖² + reg ‖B‖² with Σᵢ wᵢ = 1, so that `reg` means the same for any number of items.
Leaving row i out changes its residual to eᵢ / (1 − hᵢᵢ) with the hat matrix H, exactly: Golub, Heath and Wahba,
"Generalized cross-validation as a method for choosing a good ridge parameter", Technometrics 1979.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from recsys_pipeline.core.errors import ModelError


class Linear(NamedTuple):
    """A fitted linear map."""

    coefficients: Float64[np.ndarray, "columns space"]
    intercept: Float64[np.ndarray, " space"]

    def predict(self, columns: Float64[np.ndarray, "items columns"]) -> Float64[np.ndarray, "items space"]:
        """The map's values."""
        return columns @ self.coefficients + self.intercept


class Ridge(NamedTuple):
    """The map with the penalty that was chosen, and the leave-one-out error of every penalty."""

    linear: Linear
    reg: float
    errors: Float64[np.ndarray, " regs"]


def fit_ridge(
    columns: Float64[np.ndarray, "items columns"],
    targets: Float64[np.ndarray, "items space"],
    weights: Float64[np.ndarray, " items"],
    regs: Sequence[float],
) -> Ridge:
    """The ridge map of the penalty with the smallest weighted leave-one-out error (the larger one of equals).

    Rows of weight 0 are not learned from. One eigendecomposition serves all penalties: O(n p² + p³ + regs · n p d).
    Raises `ModelError` where fewer than two rows weigh.
    """
    learned = weights > 0
    if learned.sum() < 2:
        raise ModelError(f"{int(learned.sum())} items to learn a ridge map from: it takes 2")
    x, y, w = columns[learned], targets[learned], weights[learned] / weights[learned].sum()
    x_mean, y_mean, root = w @ x, w @ y, np.sqrt(w)[:, None]
    x, y = x - x_mean, y - y_mean
    values, basis = np.linalg.eigh((x * w[:, None]).T @ x)
    values = np.maximum(values, 0)
    rotated = (x * root) @ basis
    moments = rotated.T @ (y * root)
    errors = np.array([_left_out_error(rotated, moments, values + reg, y, w) for reg in regs])
    best = max(range(len(regs)), key=lambda at: (-errors[at], regs[at]))
    coefficients = basis @ (moments / (values + regs[best])[:, None])
    return Ridge(Linear(coefficients, y_mean - x_mean @ coefficients), float(regs[best]), errors)


def _left_out_error(
    rotated: np.ndarray, moments: np.ndarray, penalised: np.ndarray, y: np.ndarray, w: np.ndarray
) -> float:
    fitted = (rotated / np.sqrt(w)[:, None]) @ (moments / penalised[:, None])
    leverage = w + np.square(rotated) @ (1 / penalised)
    left_out = (y - fitted) / np.maximum(1 - leverage, 1e-12)[:, None]
    return float(w @ np.square(left_out).sum(axis=1))


def solve_ridge(
    columns: Float64[np.ndarray, "items columns"],
    targets: Float64[np.ndarray, "items space"],
    weights: Float64[np.ndarray, " items"],
    reg: float,
) -> Linear:
    """The readable twin for one penalty: the normal equations with a column of ones that is not penalised.

    Weights are taken as they are, not scaled to a sum of 1.
    """
    design = np.column_stack([columns, np.ones(len(columns))])
    penalty = reg * np.diag([*np.ones(columns.shape[1]), 0.0])
    solved = np.linalg.solve(design.T @ (design * weights[:, None]) + penalty, design.T @ (targets * weights[:, None]))
    return Linear(solved[:-1], solved[-1])


def left_out_error(
    columns: Float64[np.ndarray, "items columns"],
    targets: Float64[np.ndarray, "items space"],
    weights: Float64[np.ndarray, " items"],
    reg: float,
) -> float:
    """The readable twin of the leave-one-out error: solve again without each row. `weights` add up to 1."""
    total = 0.0
    for row in range(len(columns)):
        others = np.arange(len(columns)) != row
        linear = solve_ridge(columns[others], targets[others], weights[others], reg)
        total += weights[row] * np.square(linear.predict(columns[[row]]) - targets[row]).sum()
    return float(total)
