"""How far predicted values are from the real ones, in their own unit."""

import math
import warnings

import numpy as np
from jaxtyping import Float


def rmse(errors: Float[np.ndarray, " rows"]) -> float:
    """Root mean squared error sqrt(Σ (predicted − actual)² / n); NaN, with a warning, without rows."""
    return math.sqrt(_mean(np.square(errors, dtype=np.float64), "RMSE"))


def mae(errors: Float[np.ndarray, " rows"]) -> float:
    """Mean absolute error Σ |predicted − actual| / n; NaN, with a warning, without rows."""
    return _mean(np.abs(errors, dtype=np.float64), "MAE")


def _mean(losses: Float[np.ndarray, " rows"], name: str) -> float:
    if not len(losses):
        warnings.warn(f"{name} of no rows is undefined: reported as NaN", stacklevel=3)
        return math.nan
    return float(losses.mean())
