"""Bootstrap intervals over users: a figure without one is an anecdote.

Users, not ratings, are drawn, because the ratings of one user are not independent. All metrics of a model share each
resample, and all models on the same users share them too (same seed), so paired differences are exact.
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 (percentile) and 16.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.ranking import RankingResult

N_RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
"""Quantiles of the resamples between which a figure lies: 95%."""

_CHUNK_DRAWS = 4_000_000  # users × resamples held at once: 32 MB of counts


@dataclass(frozen=True)
class Estimate:
    """One figure of a leaderboard: a mean over `n` users (or test rows for RMSE) with its interval.

    `k` is 0 where the metric has no cut-off. `low` and `high` are NaN where an interval is not defined (coverage
    is a property of the whole set of lists; resampling users would bias it downwards).
    """

    model: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """How much better `model` is than `baseline` on the same users; real where the interval leaves out 0."""

    model: str
    baseline: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    n: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies wholly on one side of 0."""
        return self.low > 0 or self.high < 0


def bootstrap_sums(
    values: Float64[np.ndarray, "users columns"], seed: int, n_resamples: int = N_RESAMPLES
) -> Float64[np.ndarray, "resamples columns"]:
    """Column sums of each resample of n users drawn from n with replacement: multinomial counts times the matrix."""
    if n_resamples < 1:
        raise SettingError(f"n_resamples = {n_resamples}: draw at least one")
    return np.concatenate([counts @ values for counts in _counts(len(values), seed, n_resamples)])


def bootstrap_sums_loop(
    values: Float64[np.ndarray, "users columns"], seed: int, n_resamples: int = N_RESAMPLES
) -> Float64[np.ndarray, "resamples columns"]:
    """The readable twin of `bootstrap_sums`: draw users, add up their rows, repeat."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(values), size=(n_resamples, len(values)))
    return np.stack([values[drawn].sum(axis=0) for drawn in draws])


def ranking_estimates(result: RankingResult, seed: int, n_resamples: int = N_RESAMPLES) -> list[Estimate]:
    """Every figure of one model with its percentile interval over users; NaN where there are no users."""
    n = result.n_users
    means = result.values.mean(axis=0) if n else np.full(len(result.columns), math.nan)
    low, high = _interval(bootstrap_sums(result.values, seed, n_resamples) / max(n, 1), n)
    rows = [
        Estimate(result.model, metric, k, float(means[i]), float(low[i]), float(high[i]), n)
        for i, (metric, k) in enumerate(result.columns)
    ]
    rows += [
        Estimate(result.model, "coverage", k, float(share), math.nan, math.nan, n)
        for k, share in zip(result.ks, result.coverage, strict=True)
    ]
    if len(result.squared_errors):
        rows.append(_rmse_estimate(result, seed, n_resamples))
    return rows


def headline_figures(estimates: Sequence[Estimate], metric: str, k: int, name: str = "") -> dict[str, float]:
    """One figure of every model, as `<model>_<metric>@<k>` (or `<model>_<name>`): what manifests and runs show."""
    label = name or f"{metric}@{k}"
    return {f"{row.model}_{label}": row.value for row in estimates if (row.metric, row.k) == (metric, k)}


def paired_differences(
    model: RankingResult,
    baseline: RankingResult,
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> list[Difference]:
    """Model minus baseline for every metric, with intervals that use the pairing of users.

    Raises `DataError` where the two were not evaluated on the same users and cut-offs.
    """
    if model.columns != baseline.columns or not np.array_equal(model.users, baseline.users):
        raise DataError(
            f"{model.model} and {baseline.model} were evaluated on different users or cut-offs: "
            "evaluate both on the same folds"
        )
    n = model.n_users
    gaps = model.values - baseline.values
    means = gaps.mean(axis=0) if n else np.full(len(model.columns), math.nan)
    low, high = _interval(bootstrap_sums(gaps, seed, n_resamples) / max(n, 1), n)
    return [
        Difference(model.model, baseline.model, metric, k, float(means[i]), float(low[i]), float(high[i]), n)
        for i, (metric, k) in enumerate(model.columns)
    ]


def best_against_others(
    results: Sequence[RankingResult], seed: int, metric: str = "ndcg", k: int = 10, n_resamples: int = N_RESAMPLES
) -> list[Difference]:
    """Paired differences of the best model, by one mean, against each of the others; empty for fewer than two."""
    if len(results) < 2 or not results[0].n_users:
        return []
    best = max(results, key=lambda result: result.mean(metric, k))
    others = [result for result in results if result is not best]
    return [row for other in others for row in paired_differences(best, other, seed, n_resamples)]


def _rmse_estimate(result: RankingResult, seed: int, n_resamples: int) -> Estimate:
    """RMSE is a ratio of sums, so each resample adds up squared errors and rows of the drawn users."""
    _, at = np.unique(result.error_users, return_inverse=True)
    sums = np.stack([np.bincount(at, result.squared_errors), np.bincount(at).astype(np.float64)], axis=1)
    drawn = bootstrap_sums(sums, seed, n_resamples)
    low, high = _interval(np.sqrt(drawn[:, :1] / drawn[:, 1:]), len(sums))
    return Estimate(result.model, "rmse", 0, result.rmse, float(low[0]), float(high[0]), len(result.squared_errors))


def _counts(n_users: int, seed: int, n_resamples: int) -> Iterator[Int[np.ndarray, "resamples users"]]:
    """How often each user is drawn, some resamples at a time.

    Counting uniform draws gives multinomial counts in half the time of `Generator.multinomial` (30,000 users).
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_DRAWS // max(1, n_users))
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        draws = rng.integers(0, max(n_users, 1), size=(rows, n_users)) + np.arange(rows)[:, None] * n_users
        yield np.bincount(draws.ravel(), minlength=rows * n_users).reshape(rows, n_users)


def _interval(
    resampled: Float64[np.ndarray, "resamples columns"], n: int
) -> tuple[Float64[np.ndarray, " columns"], Float64[np.ndarray, " columns"]]:
    if n == 0:
        warnings.warn("no users to resample: intervals are NaN", stacklevel=3)
        undefined = np.full(resampled.shape[1], math.nan)
        return undefined, undefined
    low, high = np.quantile(resampled, INTERVAL, axis=0)
    return low, high
