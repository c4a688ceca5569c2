"""Figures that are ratios of sums over users, with bootstrap intervals: means over some users, shares of some rows.

A mean over the users of a slice is Σ value / Σ 1 over those users; a recall over the rows of an item slice is
Σ hits / Σ rows. Both are resampled alike: draw users with replacement, add up both sums, divide. All columns of all
slices share one set of draws, in one matrix product.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from recsys_pipeline.core.reports.accuracy.resampling import INTERVAL, N_RESAMPLES, Estimate, bootstrap_sums


def ratio_intervals(
    numerators: Float64[np.ndarray, "users columns"],
    denominators: Float64[np.ndarray, "users columns"],
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> Float64[np.ndarray, "3 columns"]:
    """Σ numerators / Σ denominators of each column and its 95% percentile interval over users: value, low, high.

    A resample without a denominator says nothing about the ratio and is left out of its interval. NaN throughout
    where the denominators add up to 0. Neither argument may hold NaN: a user for whom a figure is undefined has
    0 in both. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    sums = bootstrap_sums(np.concatenate([numerators, denominators], axis=1), seed, n_resamples)
    drawn = _ratios(*np.split(sums, 2, axis=1))
    values = _ratios(numerators.sum(axis=0), denominators.sum(axis=0))
    bounds = np.full((2, len(values)), np.nan)
    whole = ~np.isnan(drawn).any(axis=0)
    bounds[:, whole] = np.quantile(drawn[:, whole], INTERVAL, axis=0)
    for column in np.flatnonzero(~whole & ~np.isnan(values)):
        defined = drawn[~np.isnan(drawn[:, column]), column]
        if len(defined):
            bounds[:, column] = np.quantile(defined, INTERVAL)
    return np.concatenate([values[None], bounds])


def ratio_intervals_loop(
    numerators: Sequence[int | float], denominators: Sequence[int | float], seed: int, n_resamples: int
) -> tuple[float, float, float]:
    """The readable twin of `ratio_intervals` for one column."""
    n, rng, ratios = len(numerators), np.random.default_rng(seed), []
    for _ in range(n_resamples):
        drawn = rng.integers(0, n, size=n).tolist()
        below = sum(denominators[user] for user in drawn)
        if below:
            ratios.append(sum(numerators[user] for user in drawn) / below)
    low, high = np.quantile(ratios, INTERVAL).tolist()
    return sum(numerators) / sum(denominators), low, high


def mean_estimates(
    columns: Sequence[tuple[str, str, int]],
    values: Float64[np.ndarray, "users columns"],
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> list[Estimate]:
    """The mean of each column over the users for whom it is defined (not NaN), with interval and that n.

    `columns` are (model, metric, k): columns of several models on the same users share one set of draws.
    """
    defined = ~np.isnan(values)
    figures = ratio_intervals(np.where(defined, values, 0.0), defined.astype(np.float64), seed, n_resamples).tolist()
    counts = defined.sum(axis=0).tolist()
    return [
        Estimate(model, metric, k, value, low, high, n)
        for (model, metric, k), value, low, high, n in zip(columns, *figures, counts, strict=True)
    ]


def _ratios(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
