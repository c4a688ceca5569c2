"""Recall by the value that people gave: are the things that they loved found as often as those they merely took?"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.ratios import ratio_intervals
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES

MAX_VALUES = 10


@dataclass(frozen=True)
class ValueHitRate:
    """Of the `n` relevant rows with this value (or at least this value), the share that the first k places held."""

    model: str
    value: float
    is_cumulative: bool
    k: int
    hit_rate: float
    low: float
    high: float
    n: int


def hit_rates_by_value(result: RankingResult, k: int, seed: int, n_resamples: int = N_RESAMPLES) -> list[ValueHitRate]:
    """Rating hit rate for each value, and cumulative hit rate for each value and above, with intervals over users.

    With more than ten distinct values they are cut at their deciles, each known by its lowest value. NaN, with a
    warning, where there are no rows. Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004
    (hit rate), by row instead of by user.
    """
    if not 1 <= k <= max(result.ks):
        raise SettingError(f"k = {k}: give a cut-off from 1 to {max(result.ks)}, to which the lists were made")
    rows = result.rows
    if not len(rows.value):
        warnings.warn("hit rates by value of no rows are undefined: reported as NaN", stacklevel=2)
        return [ValueHitRate(result.model, math.nan, False, k, math.nan, math.nan, math.nan, 0)]
    levels = _levels(rows.value)
    level = np.searchsorted(levels, rows.value, side="right") - 1
    counts = np.zeros((2, result.n_users, len(levels)))  # rows, hits
    at = np.searchsorted(result.users, rows.user)
    np.add.at(counts[0], (at, level), 1)
    np.add.at(counts[1], (at, level), rows.places.chance_within(k))
    above = np.cumsum(counts[:, :, ::-1], axis=2)[:, :, ::-1]
    return [
        *_rates(result.model, levels, counts, False, k, seed, n_resamples),
        *_rates(result.model, levels, above, True, k, seed, n_resamples),
    ]


def _rates(
    model: str, levels: np.ndarray, counts: np.ndarray, is_cumulative: bool, k: int, seed: int, n_resamples: int
) -> list[ValueHitRate]:
    found, low, high = ratio_intervals(counts[1], counts[0], seed, n_resamples)
    n_rows = counts[0].sum(axis=0)
    return [
        ValueHitRate(
            model, float(levels[i]), is_cumulative, k,
            float(found[i]), float(low[i]), float(high[i]), int(n_rows[i]),
        )
        for i in range(len(levels))
    ]  # fmt: skip


def _levels(values: Float32[np.ndarray, " rows"]) -> Float32[np.ndarray, " levels"]:
    distinct = np.unique(values)
    if len(distinct) <= MAX_VALUES:
        return distinct
    return np.unique(np.quantile(values, np.arange(MAX_VALUES) / MAX_VALUES, method="lower")).astype(np.float32)
