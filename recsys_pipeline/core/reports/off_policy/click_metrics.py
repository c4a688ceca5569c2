"""Clicks without the help of the position: how much less is looked at further down, and what items earn beyond it.

The position-based model says that a click needs a look and a liking, P(click) = θ_position · γ_item (Richardson,
Dominowska and Ragno, WWW 2007). θ is given relative to the top position, so θ_0 = 1 and γ is the click-through at the
top. Where the logging policy explores with known propensities, weighing impressions by their inverse makes every
position show the same mix of items to the same users, and θ needs no further assumption than that the attention paid
to a position does not depend on what stands there (Joachims, Swaminathan and Schnabel, WSDM 2017).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Integer

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback

_ROUNDS = 200
_TOLERANCE = 1e-8
_SMALLEST = 1e-6  # propensities are logged as float32
MAX_POSITIONS = 50
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class PositionEffect:
    """How likely one position is looked at, relative to the top, and what a naive count would say."""

    position: int
    """From 0, the top."""
    examination: float
    low: float
    high: float
    naive: float
    """Click-through of the position over that of the top, whatever was shown there."""
    impressions: int
    clicks: int
    truth: float = math.nan
    """The true value relative to the top, where the source knows."""


def position_effects(feedback: LoggedFeedback, seed: int, n_resamples: int = 200) -> list[PositionEffect]:
    """Examination of every position with its 95% interval: percentile bootstrap over users, `n_resamples` of them.

    Impressions weigh `exposure_weight` (scaled to mean 1), and item effects take up what the weights leave by chance.
    Positions from `MAX_POSITIONS` on are left out. NaN, with a warning, without a click at the top.
    """
    if n_resamples < 1:
        raise SettingError(f"n_resamples = {n_resamples}: draw at least one")
    feedback = feedback.take(feedback.position < MAX_POSITIONS)
    weight = exposure_weight(feedback)
    weight = weight / weight.mean() if len(weight) else weight
    shape = _shape(feedback.item, feedback.position)
    value, liking = _examination(*_tables(feedback, weight, shape), None)
    rng, (users, at) = np.random.default_rng(seed), np.unique(feedback.user, return_inverse=True)
    draws = np.full((n_resamples, shape[1]), math.nan)
    for resample in draws if np.isfinite(value).any() else draws[:0]:
        counts = np.bincount(rng.integers(0, len(users), len(users)), minlength=len(users))
        resample[:] = _examination(*_tables(feedback, weight * counts[at], shape), liking)[0]
    low, high = np.quantile(draws, INTERVAL, axis=0)
    impressions, clicks = np.bincount(feedback.position), np.bincount(feedback.position, feedback.reward)
    through = _quotient(clicks, impressions)
    naive = _quotient(through, np.full(len(through), through[0] if len(through) else math.nan))
    columns = zip(value, low, high, naive, impressions, clicks, strict=True)
    return [
        PositionEffect(k, float(value), float(low), float(high), float(naive), int(impressions), int(clicks))
        for k, (value, low, high, naive, impressions, clicks) in enumerate(columns)
    ]


def exposure_weight(feedback: LoggedFeedback) -> Float64[np.ndarray, " n"]:
    """Weights under which every position shows every item to every user equally often, in expectation.

    One over the probability that the item stands at the position, given the items above it *other than itself*: an
    item that is often on top is missing further down, and 1 / propensity alone would not put it back. For lists drawn
    without replacement (Plackett-Luce), where the propensity at k is p_k / (1 − S_k) with S_k = Σ_{j<k} p_j, that is
    1 / (propensity · Π_{j<k} (1 − p_k / (1 − S_j))); exact for such lists, first-order for others.
    """
    _, at = np.unique(feedback.request, return_inverse=True)
    n_positions = int(feedback.position.max()) + 1 if len(feedback) else 0
    propensity = np.zeros((int(at.max()) + 1 if len(at) else 0, n_positions))
    propensity[at, feedback.position] = feedback.propensity
    stayed, survived = np.ones((n_positions + 1, len(propensity))), np.ones(propensity.T.shape)
    for k in range(n_positions):
        chance = propensity[:, k] * stayed[k]
        survived[k] = np.prod(np.maximum(1 - chance / stayed[:k], _SMALLEST), axis=0)
        stayed[k + 1] = np.maximum(stayed[k] - chance, _SMALLEST)
    return 1 / (feedback.propensity * survived[feedback.position, at])


def examination_curve(
    item: Integer[np.ndarray, " n"],
    position: Integer[np.ndarray, " n"],
    click: Float64[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"] | None = None,
) -> tuple[Float64[np.ndarray, " positions"], Float64[np.ndarray, " items"]]:
    """θ of each position (θ_0 = 1) and γ of each item, by maximum quasi-likelihood of the position-based model.

    Clicks as Poisson counts with mean Σ w θ_k γ_i give the two equations θ_k = Σ_i c_ik / Σ_i w_ik γ_i and
    γ_i = Σ_k c_ik / Σ_k w_ik θ_k, which are solved in turns. `weight` (default 1) is that of each impression. γ is NaN
    for an item that was not shown, θ for a position without impressions; all are NaN, with a warning, where the top
    has no click. γ is clicks over expected clicks, the corrected click-through of Zhang and Jones, WWW 2007.
    """
    weight = np.ones(len(item)) if weight is None else weight
    shape = _shape(item, position)
    return _examination(*_weighted_tables(item, position, click, weight, shape), None)


def corrected_click_through(
    item: Integer[np.ndarray, " n"],
    position: Integer[np.ndarray, " n"],
    click: Float64[np.ndarray, " n"],
    examination: Float64[np.ndarray, " positions"],
    n_items: int,
) -> Float64[np.ndarray, " items"]:
    """Clicks of each item over the looks that it must have had, Σ clicks / Σ θ_position; NaN where it had none.

    >>> corrected_click_through(np.array([0, 0]), np.array([0, 1]), np.array([1.0, 0.0]), np.array([1.0, 0.6]), 1)
    array([0.625])
    """
    looks = np.bincount(item, examination[position], minlength=n_items)
    return _quotient(np.bincount(item, click, minlength=n_items), looks)


def examination_loop(
    rows: list[tuple[int, int, float, float]], n_items: int, n_positions: int, rounds: int
) -> tuple[list[float], list[float]]:
    """The readable twin of `examination_curve`: `rows` are (item, position, click, weight)."""
    liking, looked = [1.0] * n_items, [1.0] * n_positions
    for _ in range(rounds):
        for k in range(n_positions):
            clicks = sum(weight * click for _, position, click, weight in rows if position == k)
            looked[k] = clicks / sum(weight * liking[item] for item, position, _, weight in rows if position == k)
        for i in range(n_items):
            clicks = sum(weight * click for item, _, click, weight in rows if item == i)
            liking[i] = clicks / sum(weight * looked[position] for item, position, _, weight in rows if item == i)
    return [value / looked[0] for value in looked], [value * looked[0] for value in liking]


def _examination(
    shown: Float64[np.ndarray, "items positions"],
    clicked: Float64[np.ndarray, "items positions"],
    liking: Float64[np.ndarray, " items"] | None,
) -> tuple[Float64[np.ndarray, " positions"], Float64[np.ndarray, " items"]]:
    """θ and γ from weighted impressions and clicks; `liking` is where to start."""
    n_items, n_positions = shown.shape
    if not n_positions or not clicked[:, 0].any():
        warnings.warn("examination is undefined: no click at the top position", stacklevel=3)
        return np.full(n_positions, math.nan), np.full(n_items, math.nan)
    gamma = np.ones(n_items) if liking is None else np.nan_to_num(liking, nan=1.0)
    looks, by_position, by_item = np.ones(n_positions), clicked.sum(axis=0), clicked.sum(axis=1)
    for _ in range(_ROUNDS):
        before, looks = looks, np.nan_to_num(_quotient(by_position, gamma @ shown))
        looks = looks / looks[0]
        gamma = np.nan_to_num(_quotient(by_item, shown @ looks))
        if np.abs(looks - before).max() < _TOLERANCE:
            break
    return np.where(shown.any(axis=0), looks, math.nan), np.where(shown.any(axis=1), gamma, math.nan)


def _tables(
    feedback: LoggedFeedback, weight: Float64[np.ndarray, " n"], shape: tuple[int, int]
) -> tuple[Float64[np.ndarray, "items positions"], Float64[np.ndarray, "items positions"]]:
    return _weighted_tables(feedback.item, feedback.position, feedback.reward, weight, shape)


def _weighted_tables(
    item: Integer[np.ndarray, " n"],
    position: Integer[np.ndarray, " n"],
    click: Float64[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
    shape: tuple[int, int],
) -> tuple[Float64[np.ndarray, "items positions"], Float64[np.ndarray, "items positions"]]:
    """Weighted impressions and clicks of each item at each position."""
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight) & np.isfinite(click)))
    if len(bad):
        raise DataError(f"row {bad[0]} has weight {weight[bad[0]]} and click {click[bad[0]]}: both must be finite")
    cell, size = item.astype(np.int64) * shape[1] + position, shape[0] * shape[1]
    return (
        np.bincount(cell, weight, minlength=size).astype(np.float64).reshape(shape),
        np.bincount(cell, weight * click, minlength=size).astype(np.float64).reshape(shape),
    )


def _shape(item: Integer[np.ndarray, " n"], position: Integer[np.ndarray, " n"]) -> tuple[int, int]:
    return (int(item.max()) + 1, int(position.max()) + 1) if len(item) else (0, 0)


def _quotient(above: np.ndarray, below: np.ndarray) -> Float64[np.ndarray, " n"]:
    """NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(len(below), math.nan), where=below > 0)
