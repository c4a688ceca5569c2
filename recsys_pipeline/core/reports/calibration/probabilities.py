"""From scores to the probability of a sale, and whether such probabilities can be believed.

A score orders items; sigmoid(slope · score + intercept), fitted on rows that the model did not learn from, turns it
into a probability (Platt scaling). Calibrated means: of all offers that were given 2%, 2% sell. The reliability curve
shows it bin by bin, the expected calibration error in one figure, next to the level that perfect probabilities would
show on as few rows.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Bool, Float, Float64, Int

from recsys_pipeline.core.errors import DataError, SettingError

Z_95 = 1.959963984540054
"""Standard normal quantile of .975."""


@dataclass(frozen=True)
class PlattScaling:
    """P(outcome = 1) = sigmoid(slope · score + intercept)."""

    slope: float
    intercept: float

    def probabilities(self, scores: Float[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """The probability of each score."""
        return scipy.special.expit(self.slope * scores.astype(np.float64) + self.intercept)


def fit_platt(
    scores: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
) -> PlattScaling:
    """Fit slope and intercept by maximum likelihood on held-out rows, with Platt's smoothed targets.

    Targets are (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2) instead of 1 and 0, so that separable scores keep a finite slope;
    N₊ and N₋ are sums of weights. Raises `DataError` for a score that is not finite and where only one outcome occurs.
    Platt, "Probabilistic outputs for support vector machines", 1999; gradient as in Lin, Lin and Weng 2007.
    """
    weight = _checked(scores, outcomes, weights)
    positives, negatives = weight[outcomes].sum(), weight[~outcomes].sum()
    if not positives or not negatives:
        raise DataError(f"{positives:g} sales against {negatives:g} others: Platt scaling needs both outcomes")
    targets = np.where(outcomes, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = scores.mean(dtype=np.float64), scores.std(dtype=np.float64) or 1.0
    x, shares = (scores.astype(np.float64) - centre) / spread, weight / weight.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margin = parameters[0] * x + parameters[1]
        rest = shares * (scipy.special.expit(margin) - targets)
        value = shares @ (np.logaddexp(0, margin) - targets * margin)
        return float(value), np.array([rest @ x, rest.sum()])

    def hessian(parameters: np.ndarray) -> np.ndarray:
        chance = scipy.special.expit(parameters[0] * x + parameters[1])
        curvature = shares * chance * (1 - chance)
        return np.array([[curvature @ (x * x), curvature @ x], [curvature @ x, curvature.sum()]])

    start = np.array([0.0, math.log((positives + 1) / (negatives + 1))])
    found = scipy.optimize.minimize(loss, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    slope, intercept = found.x
    return PlattScaling(float(slope / spread), float(intercept - slope * centre / spread))


def cross_fitted_probabilities(
    scores: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    groups: Int[np.ndarray, " rows"],
    seed: int,
    weights: Float[np.ndarray, " rows"] | None = None,
    n_folds: int = 2,
) -> Float64[np.ndarray, " rows"]:
    """Platt probabilities of rows by a fit on other groups (users): for where there are no validation rows to spare.

    Groups are dealt out to folds at random; each fold's rows get the scaling that was fitted on the rest, so that no
    user is judged by a fit that saw them. Raises `DataError` where a fit sees only one outcome, `SettingError` for
    fewer than two folds.
    """
    if n_folds < 2:
        raise SettingError(f"n_folds = {n_folds}: one part to fit on and one to judge are the least")
    names, at = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[at] % n_folds
    probabilities = np.empty(len(scores))
    for own in range(n_folds):
        mine, rest = fold == own, fold != own
        fitted = fit_platt(scores[rest], outcomes[rest], None if weights is None else weights[rest])
        probabilities[mine] = fitted.probabilities(scores[mine])
    return probabilities


def brier_score(
    probabilities: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
) -> float:
    """The mean squared error of probabilities, Σ w (p − y)² / Σ w; smaller is better.

    NaN, with a warning, without rows. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    weight = check_probabilities(probabilities, outcomes, weights)
    return _weighted_mean((probabilities - outcomes) ** 2, weight, "the Brier score")


def log_loss(
    probabilities: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
) -> float:
    """The mean of −ln of the probability that was given to what happened, in nats; smaller is better.

    Probabilities are kept 2⁻⁵² from 0 and 1, as scikit-learn does: one certain error would make the mean infinite.
    NaN, with a warning, without rows. Good, "Rational decisions", 1952.
    """
    weight = check_probabilities(probabilities, outcomes, weights)
    eps = np.finfo(np.float64).eps
    given = np.clip(np.where(outcomes, probabilities, 1 - probabilities), eps, 1 - eps)
    return _weighted_mean(-np.log(given), weight, "log loss")


def check_probabilities(
    probabilities: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None,
) -> Float64[np.ndarray, " rows"]:
    """The weights (ones where there are none); raises `DataError` for a row that is no probability."""
    weight = _checked(probabilities, outcomes, weights)
    wrong = np.flatnonzero((probabilities < 0) | (probabilities > 1))
    if len(wrong):
        raise DataError(
            f"row {wrong[0]} has the probability {probabilities[wrong[0]]:g}: fit_platt turns scores into 0–1"
        )
    return weight


def _checked(values: np.ndarray, outcomes: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    weight = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    if not len(values) == len(outcomes) == len(weight):
        raise DataError(f"{len(values)} scores, {len(outcomes)} outcomes and {len(weight)} weights: give one per row")
    for name, column in (("score", values), ("weight", weight)):
        wrong = np.flatnonzero(~np.isfinite(column))
        if len(wrong):
            raise DataError(f"the {name} of row {wrong[0]} is {column[wrong[0]]}: it must be finite")
    if (weight < 0).any():
        raise DataError(f"the weight of row {int(np.argmax(weight < 0))} is below 0")
    return weight


def _weighted_mean(values: np.ndarray, weight: np.ndarray, name: str) -> float:
    if not weight.sum():
        warnings.warn(f"{name} of no rows is undefined: reported as NaN", stacklevel=3)
        return math.nan
    return float(values @ weight / weight.sum())
