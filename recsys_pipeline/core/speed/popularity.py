"""Popularity and trends, brought from a release's end to now by exponential decay.

Popularity is the number of users of an item, each counted 2^(−age / half-life) by the latest interaction. A user weighs
at most 1 per item, however often the item is clicked, so nobody can push one up alone. Between two moments all counts
shrink by one factor; a user who comes back gives up the earlier part for a fresh one. So

    p(T) = 2^(−(T − E)/h) p(E) + Σ_new 2^(−(T − t)/h) − Σ_back 2^(−(T − t')/h),

t the new interaction of a pair, t' the one before E: what counting all pairs anew at T would give. Those who turned
from an item give up their earlier part for nothing.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int64

from recsys_pipeline.core.serving.release import HOUR_US, Release
from recsys_pipeline.core.speed.delta import Delta
from recsys_pipeline.core.speed.fold import Merged


def decay(hours: float, half_life_hours: float) -> float:
    """The factor by which a count shrinks.

    >>> decay(12, half_life_hours=6)
    0.25
    """
    return 2.0 ** (-hours / half_life_hours)


def popularity_table(release: Release, delta: Delta, merged: Merged, trend_half_life_hours: float) -> pa.Table:
    """A row per item that was taken or lost a user: popularity at the delta's end, what of it is the release's, users,
    trend."""
    taken = np.unique(np.concatenate([delta.taken.item, _lost_items(merged)]))
    now, before = decayed_now(release, delta, merged)
    columns = {
        "item_id": pa.array(delta.item_ids[taken], pa.string()),
        "popularity": now[taken],
        "before": before[taken],
        "users": np.bincount(delta.taken.item, minlength=len(delta.item_ids))[taken],
        "trend": trends(release, delta, merged, trend_half_life_hours)[taken],
    }
    return pa.table(columns)


def decayed_now(
    release: Release, delta: Delta, merged: Merged
) -> tuple[Float32[np.ndarray, " items"], Float32[np.ndarray, " items"]]:
    """Popularity of each of the delta's items at its end (rounding never takes it below 0), and p(E) decayed."""
    half_life = release.config.popularity_half_life_hours
    gained = _weights(delta.end_us - delta.timestamp_us, half_life)
    given_up = np.nan_to_num(_weights(delta.end_us - merged.earlier_us, half_life))
    lost = _weights(delta.end_us - merged.lost.timestamp_us, half_life)
    items, changes = np.append(delta.taken.item, _lost_items(merged)), np.append(gained - given_up, -lost)
    change = np.bincount(items, changes, len(delta.item_ids))
    before = _before(release, merged) * decay((delta.end_us - release.end_us) / HOUR_US, half_life)
    return np.maximum(before + change, 0).astype(np.float32), before.astype(np.float32)


def trends(release: Release, delta: Delta, merged: Merged, half_life_hours: float) -> Float32[np.ndarray, " items"]:
    """How much more each of the delta's items is taken than its popularity lets expect, in standard deviations.

    s counts the users since the release with the short half-life g. Were arrivals Poisson at the rate that the
    release's popularity p implies, p ln 2 / h per hour, then over W hours s would have the mean p (g/h)(1 − 2^(−W/g))
    and the variance p (g/2h)(1 − 4^(−W/g)) (Campbell's theorem); one more user is added to the variance, so that the
    first click of an unknown item is no trend.
    """
    ratio = half_life_hours / release.config.popularity_half_life_hours
    window = (delta.end_us - release.end_us) / HOUR_US / half_life_hours
    weights = _weights(delta.end_us - delta.timestamp_us, half_life_hours)
    found = np.bincount(delta.taken.item, weights, len(delta.item_ids))
    before = _before(release, merged)
    mean, variance = before * ratio * (1 - 0.5**window), before * ratio / 2 * (1 - 0.25**window)
    return ((found - mean) / np.sqrt(variance + 1)).astype(np.float32)


def _lost_items(merged: Merged) -> Int64[np.ndarray, " lost"]:
    """The items of the pairs that are avoided now, by their number in the delta."""
    order = np.argsort(merged.item_rows, kind="stable")
    return order[np.searchsorted(merged.item_rows, merged.lost.item, sorter=order)]


def _before(release: Release, merged: Merged) -> Float64[np.ndarray, " items"]:
    """Popularity at the release's end; 0 for items that it does not have."""
    return np.append(release.popularity, np.float32(0))[merged.item_rows].astype(np.float64)


def _weights(age_us: np.ndarray, half_life_hours: float) -> Float64[np.ndarray, " n"]:
    return np.exp2(-age_us / HOUR_US / half_life_hours)
