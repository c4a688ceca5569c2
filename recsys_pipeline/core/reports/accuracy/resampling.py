"""Bootstrap intervals over users: a figure without one is an anecdote.

Users, not ratings, are drawn, because the ratings of one user are not independent. All metrics of a model share each
resample, and all models on the same users share them too (same seed), so paired differences are exact.
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 (percentile) and 16.
"""

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.rating_metrics import mae
from recsys_pipeline.core.reports.accuracy.significance import (
    ALPHA,
    holm,
    minimum_detectable_effect,
    randomisation_p_values,
)

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
    """How much better `model` is than `baseline` on the same `n` users."""

    model: str
    baseline: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    n: int
    p_value: float
    """Of the paired randomisation test, adjusted (Holm) for all models that were compared with the same one."""
    detectable: float
    """The smallest true difference that so many users, as different as these, would show 80 times in 100."""

    @property
    def is_clear(self) -> bool:
        """Whether the difference is significant at 5%, all comparisons together."""
        return self.p_value < ALPHA


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


def bootstrap_means(
    values: Float64[np.ndarray, "users columns"], seed: int, n_resamples: int = N_RESAMPLES
) -> Float64[np.ndarray, "resamples columns"]:
    """Column means of each resample over the users for whom the column is defined (not NaN)."""
    defined = ~np.isnan(values)
    partial = np.flatnonzero(~defined.all(axis=0))
    stacked = np.concatenate([np.nan_to_num(values), defined[:, partial]], axis=1)
    sums = bootstrap_sums(stacked, seed, n_resamples)
    counts = np.full((n_resamples, values.shape[1]), float(len(values)))
    counts[:, partial] = sums[:, values.shape[1] :]
    return np.divide(sums[:, : values.shape[1]], counts, out=np.full(counts.shape, math.nan), where=counts > 0)


def ranking_estimates(result: RankingResult, seed: int, n_resamples: int = N_RESAMPLES) -> list[Estimate]:
    """Every figure of one model with its percentile interval over users; NaN where there are no users."""
    rows = [
        Estimate(result.model, metric, k, *figures)
        for (metric, k), figures in zip(result.columns, _means(result.values, seed, n_resamples), strict=True)
    ]
    rows += [
        Estimate(result.model, metric, k, float(share), math.nan, math.nan, result.n_users)
        for metric, shares in (("coverage", result.coverage), ("tied_places", result.tied_places))
        for k, share in zip(result.ks, shares, strict=True)
    ]
    silent = result.n_silent / result.n_users if result.n_users else math.nan
    rows.append(Estimate(result.model, "silent_users", 0, silent, math.nan, math.nan, result.n_users))
    if len(result.errors):
        rows += _error_estimates(result, seed, n_resamples)
    return rows


def silent_models(estimates: Sequence[Estimate]) -> set[str]:
    """Models that tell no two items apart, for any user: theirs are the figures of a random order."""
    return {row.model for row in estimates if row.metric == "silent_users" and row.value == 1.0}


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
    """Model minus baseline for every metric, with intervals and p-values that use the pairing of users.

    The p-values are those of this one comparison, not adjusted for others.
    Raises `DataError` where the two were not evaluated on the same users and cut-offs.
    """
    if model.columns != baseline.columns or not np.array_equal(model.users, baseline.users):
        raise DataError(
            f"{model.model} and {baseline.model} were evaluated on different users or cut-offs: "
            "evaluate both on the same folds"
        )
    gaps = model.values - baseline.values
    figures = _means(gaps, seed, n_resamples)
    p_values, detectable = randomisation_p_values(gaps, seed), minimum_detectable_effect(gaps)
    return [
        Difference(model.model, baseline.model, metric, k, *figures[i], float(p_values[i]), float(detectable[i]))
        for i, (metric, k) in enumerate(model.columns)
    ]


def best_against_others(
    results: Sequence[RankingResult], seed: int, metric: str = "ndcg", k: int = 10, n_resamples: int = N_RESAMPLES
) -> list[Difference]:
    """Paired differences of the best model, by one mean, against each of the others; empty for fewer than two.

    P-values are adjusted, per metric, for as many comparisons as there are others (Holm).
    """
    if len(results) < 2 or not results[0].n_users:
        return []
    best = max(results, key=lambda result: result.mean(metric, k))
    others = [result for result in results if result is not best]
    compared = [paired_differences(best, other, seed, n_resamples) for other in others]
    adjusted = np.stack([holm(np.array([row.p_value for row in rows])) for rows in zip(*compared, strict=True)])
    return [
        dataclasses.replace(row, p_value=float(adjusted[i, other]))
        for other, rows in enumerate(compared)
        for i, row in enumerate(rows)
    ]


def _means(
    values: Float64[np.ndarray, "users columns"], seed: int, n_resamples: int
) -> list[tuple[float, float, float, int]]:
    """(mean, low, high, n) of each column, over the users for whom it is defined."""
    n = (~np.isnan(values)).sum(axis=0)
    means = np.divide(np.nansum(values, axis=0), n, out=np.full(values.shape[1], math.nan), where=n > 0)
    if not len(values):
        warnings.warn("no users to resample: intervals are NaN", stacklevel=3)
        return [(math.nan, math.nan, math.nan, 0)] * values.shape[1]
    bounds = np.full((2, values.shape[1]), math.nan)
    if n.any():
        bounds[:, n > 0] = np.nanquantile(bootstrap_means(values, seed, n_resamples)[:, n > 0], INTERVAL, axis=0)
    return [(float(means[i]), float(bounds[0, i]), float(bounds[1, i]), int(n[i])) for i in range(values.shape[1])]


def _error_estimates(result: RankingResult, seed: int, n_resamples: int) -> list[Estimate]:
    """RMSE and MAE are ratios of sums, so each resample adds up errors and rows of the drawn users."""
    _, at = np.unique(result.error_users, return_inverse=True)
    columns = [np.bincount(at, result.errors**2), np.bincount(at, np.abs(result.errors)), np.bincount(at)]
    drawn = bootstrap_sums(np.stack(columns, axis=1).astype(np.float64), seed, n_resamples)
    figures = {"rmse": (result.rmse, np.sqrt(drawn[:, 0] / drawn[:, 2]))}
    figures["mae"] = (mae(result.errors), drawn[:, 1] / drawn[:, 2])
    rows = []
    for metric, (value, resampled) in figures.items():
        low, high = np.quantile(resampled, INTERVAL)
        rows.append(Estimate(result.model, metric, 0, value, float(low), float(high), len(result.errors)))
    share = result.prediction_coverage
    return [*rows, Estimate(result.model, "prediction_coverage", 0, share, math.nan, math.nan, len(result.errors))]


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
