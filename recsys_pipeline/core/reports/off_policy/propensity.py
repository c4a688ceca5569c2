"""Popularity as a propensity, for sources that log none: how much of what is seen is decided by what is popular?

A fitted power law gives the probability that an item is what a user comes across; ranking figures are then weighed by
its inverse, so that a model does not win by finding what everybody finds. Schnabel et al., "Recommendations as
treatments", ICML 2016; Yang et al., "Unbiased offline recommender evaluation for missing-not-at-random implicit
feedback", RecSys 2018.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Integer, Num

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces

_STEPS = 50
WEIGHTED_METRICS = ("recall", "ndcg")


@dataclass(frozen=True)
class PowerLaw:
    """P(item i is what is shown) ∝ (n_i + 1)^exponent, with n_i its earlier popularity."""

    exponent: float
    standard_error: float
    """Scaled by the spread that the power law leaves unexplained (quasi-likelihood)."""
    dispersion: float
    """Pearson's χ² per degree of freedom: 1 where the power law says all, far above where other things decide too."""
    n: int
    """Events that it was fitted to."""

    def propensity(self, popularity: Num[np.ndarray, " items"]) -> Float64[np.ndarray, " items"]:
        """Probability of each item; they sum to 1."""
        odds = (popularity.astype(np.float64) + 1) ** self.exponent
        return odds / odds.sum()


def fit_power_law(popularity: Num[np.ndarray, " items"], shown: Num[np.ndarray, " items"]) -> PowerLaw:
    """The maximum-likelihood exponent of later events `shown` (counts) over earlier `popularity` (counts).

    The log-likelihood Σ_i shown_i log softmax(γ log(n_i + 1))_i is concave in γ, so Newton's method finds the one
    maximum. With impressions as `shown` it is a law of exposure. Where a source logs none, later interactions may
    stand in; then all of popularity is taken for exposure, and weights by it correct too much rather than too little.
    NaN, with a warning, where nothing was shown, or only items of one popularity, the highest or lowest. Raises
    `DataError` naming the item for counts that are negative or not finite.
    """
    for name, counts in (("popularity", popularity), ("shown", shown)):
        bad = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))
        if len(bad):
            raise DataError(f"{name} of item {bad[0]} is {counts[bad[0]]}: counts are finite and 0 or more")
    feature, total = np.log(popularity.astype(np.float64) + 1), float(shown.sum())
    # All events on the most (or least) popular items would put the maximum at infinity.
    if not total or (np.ptp(feature[shown > 0]) == 0 and feature[shown > 0][0] in (feature.min(), feature.max())):
        warnings.warn("no power law of popularity: nothing shown, or only items of one popularity", stacklevel=2)
        return PowerLaw(math.nan, math.nan, math.nan, int(total))
    observed, exponent, variance = float(feature @ shown) / total, 0.0, 0.0
    for _ in range(_STEPS):
        chance = _softmax(exponent * feature)
        mean = float(chance @ feature)
        variance = float(chance @ (feature - mean) ** 2)
        step = float(np.clip((observed - mean) / variance, -1, 1))
        exponent += step
        if abs(step) < 1e-10:
            break
    expected = total * _softmax(exponent * feature)
    dispersion = float(((shown - expected) ** 2 / expected).sum() / max(len(feature) - 2, 1))
    return PowerLaw(exponent, math.sqrt(max(dispersion, 1.0) / (total * variance)), dispersion, int(total))


def observed_exponent(exposure_exponent: float) -> float:
    """Exponent of the propensity over *observed* counts, (γ + 1) / 2, where exposure follows observed counts^γ.

    Observed counts are true interest times propensity, n* = n p, and p ∝ (n*)^γ n; so p ∝ (n*)^((γ + 1) / 2).
    Yang et al. 2018, section 3.2.
    """
    return (exposure_exponent + 1) / 2


def weighted_ranking_metrics(
    user: Integer[np.ndarray, " rows"],
    places: TiedPlaces,
    propensity: Float64[np.ndarray, " rows"],
    ks: Sequence[int],
) -> tuple[Integer[np.ndarray, " users"], dict[str, Float64[np.ndarray, "users ks"]]]:
    """Recall and NDCG of each user at each k, where a relevant row counts 1 / propensity.

    One row is a relevant test item: its user, where it stands in that user's full ranking, and the propensity that
    it was observed. Weights are normalised within the user (SNIPS; Yang et al. 2018, equation 5): recall@k =
    Σ w P(place ≤ k) / Σ w; NDCG@k takes w as the gain, and its ideal places the largest gains first. Constant
    propensities give plain recall and binary NDCG. Users come ascending. Raises `DataError` naming the row,
    `SettingError` for a bad k.
    """
    if not len(ks) or min(ks) < 1:
        raise SettingError(f"ks = {tuple(ks)}: give at least one cut-off, each 1 or more")
    holds = (propensity > 0) & np.isfinite(propensity)
    if not holds.all():
        row = int(np.flatnonzero(~holds)[0])
        raise DataError(f"propensity in row {row} is {propensity[row]}")
    users, at = np.unique(user, return_inverse=True)
    weight = 1 / propensity
    ideal_discount, first_places = _ideal(at, weight)
    recall, ndcg = np.zeros((2, len(users), len(ks)))
    total = np.bincount(at, weight, minlength=len(users))
    for column, k in enumerate(ks):
        found = np.bincount(at, weight * places.chance_within(k), minlength=len(users))
        recall[:, column] = found / total
        best = np.bincount(at, weight * ideal_discount * (first_places <= k), minlength=len(users))
        gained = np.bincount(at, weight * places.mean_gain(_discount, k), minlength=len(users))
        ndcg[:, column] = gained / best
    return users, {"recall": recall, "ndcg": ndcg}


def _discount(place: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    return 1 / np.log2(place + 1)


def _ideal(
    at: Int[np.ndarray, " rows"], weight: Float64[np.ndarray, " rows"]
) -> tuple[Float64[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """Discount and place of each row if its user's list began with the heaviest rows, in order."""
    order = np.lexsort((-weight, at))
    sorted_at = at[order]
    starts = np.searchsorted(sorted_at, sorted_at)
    places = np.empty(len(at), np.int64)
    places[order] = np.arange(len(at)) - starts + 1
    return 1 / np.log2(places + 1.0), places


def weighted_metrics_loop(rows: Sequence[tuple[int, float]], k: int) -> dict[str, float]:
    """The readable twin for one user: `rows` are (place, propensity) of the relevant items.

    >>> round(weighted_metrics_loop([(1, 0.5), (30, 0.25)], k=10)["recall"], 4)
    0.3333
    """
    gains = [1 / propensity for _, propensity in rows]
    best = sorted(gains, reverse=True)[:k]
    hits = [(gain, place) for gain, (place, _) in zip(gains, rows, strict=True) if place <= k]
    return {
        "recall": sum(gain for gain, _ in hits) / sum(gains),
        "ndcg": sum(gain / math.log2(place + 1) for gain, place in hits)
        / sum(gain / math.log2(place + 1) for place, gain in enumerate(best, start=1)),
    }


def _softmax(logits: Float64[np.ndarray, " items"]) -> Float64[np.ndarray, " items"]:
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()
