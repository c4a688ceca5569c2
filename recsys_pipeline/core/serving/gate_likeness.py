"""How like its champion a release is: what the same users see of both, what is on sale, the scale of both models."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float32, Float64

from recsys_pipeline.core.reports.accuracy.resampling import INTERVAL, bootstrap_means
from recsys_pipeline.core.reports.accuracy.significance import randomisation_p_values
from recsys_pipeline.core.reports.monitoring.drift import DriftLimits, drift_report
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.serving.gate_record import Gap, Likeness, Scale, Shift
from recsys_pipeline.core.serving.recommend import Recommendations, recommend
from recsys_pipeline.core.serving.release import Release

LIST_FEATURES = ("recommended_category", "recommended_price")
"""What a profile says of a release's own lists. These can stop a release, because people would see it; what people did
and what the catalogue holds only warns: holidays and campaigns move it, and the test rows judge it."""
NO_GAP = Gap(math.nan, math.nan, math.nan, math.nan, 0)
SPREAD_ITEMS = 1_000
"""Items whose pairs are measured, at most."""


def likeness(champion: Release, candidate: Release, lists: Recommendations, seed: int) -> Likeness:
    """The candidate's lists for sampled users beside what the champion gives those of them whom it knows."""
    rows = champion.user_rows(lists.user_ids)
    both, k = np.flatnonzero(rows >= 0), min(champion.config.k, candidate.config.k)
    names = [lists.user_ids[at] for at in both]
    now, then = lists.item_ids[both, :k], recommend(champion, None, names, k)
    overlap, alike, nearer = _overlap(candidate, names, now, then.item_ids, seed)
    personal = np.array([lists.why[at] == why == "release" for at, why in zip(both, then.why, strict=True)], bool)
    fits = [int(release.histories.fitted.sum()) for release in (candidate, champion)]
    return Likeness(
        n_users=len(both),
        overlap=overlap,
        alike=alike,
        nearer=nearer,
        shifts=shifts(champion.priors, candidate.priors),
        filled=_mean(now != ""),
        champion_filled=_mean(then.item_ids != ""),
        champion_empty=_mean(~(then.item_ids != "").any(axis=1)),
        on_sale=len(candidate.on_sale_rows),
        champion_on_sale=len(champion.on_sale_rows),
        other_settings=other_settings(champion, candidate),
        growth=max(fits) / min(fits) if min(fits) else math.inf,
        scales=(
            *_scale("score", _sizes(lists.scores[both, :k][personal]), _sizes(then.scores[personal])),
            *_scale("user_norm", _norms(candidate, names), _norms(champion, names)),
            *_scale("item_norm", *(lengths(one.item_vectors[one.on_sale]) for one in (candidate, champion))),
            *_scale("item_spread", *(spread(one.item_vectors[one.on_sale], seed) for one in (candidate, champion))),
        ),
    )


def other_settings(champion: Release, candidate: Release) -> tuple[str, ...]:
    """Names of the model's settings that are not the champion's; another kind of model is another setting."""
    then, now = champion.model.config, candidate.model.config
    if type(then) is not type(now):
        return ("model",)
    names = [field.name for field in dataclasses.fields(now)]
    return tuple(name for name in names if getattr(then, name) != getattr(now, name))


def _overlap(
    candidate: Release, names: list[str], now: np.ndarray, then: np.ndarray, seed: int
) -> tuple[float, float, Gap]:
    """How much of the list that the champion gives a user is in the user's list now, how alike the champion's lists of
    two users are, and by how much more users keep of their own than of another user's.

    What the user may no longer be shown counts in none of them: it could not be there.
    """
    if len(names) < 2:
        return math.nan, math.nan, NO_GAP
    shift = int(np.random.default_rng(seed).integers(1, len(names)))
    others = np.roll(then, shift, axis=0)
    kept, of_others, alike = (_kept(candidate, names, *pair) for pair in ((now, then), (now, others), (then, others)))
    gaps = (kept - of_others)[~np.isnan(kept - of_others)][:, None]
    if not len(gaps):
        return math.nan, math.nan, NO_GAP
    low, high = np.quantile(bootstrap_means(gaps, seed), INTERVAL)
    p_value = float(randomisation_p_values(gaps, seed)[0])
    gap = Gap(float(gaps.mean()), float(low), float(high), p_value, len(gaps))
    return float(np.nanmean(kept)), float(np.nanmean(alike)), gap


def _kept(release: Release, names: list[str], now: np.ndarray, then: np.ndarray) -> Float64[np.ndarray, " users"]:
    """Share of a list of before that each user has now, of what the user may be shown; NaN where that is nothing."""
    rows = release.item_rows(then.ravel()).reshape(then.shape)
    user, item = release.withheld(release.user_rows(names))
    hidden = np.isin(_pairs(np.arange(len(names))[:, None], rows), _pairs(user, item))
    may = (rows >= 0) & release.on_sale[rows] & ~hidden
    kept = (then[:, :, None] == now[:, None, :]).any(axis=2) & may
    n = may.sum(axis=1)
    return np.where(n > 0, kept.sum(axis=1) / np.maximum(n, 1), np.nan)


def _pairs(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    return user.astype(np.int64) << 32 | item


def _mean(values: Bool[np.ndarray, "..."]) -> float:
    return float(values.mean()) if values.size else math.nan


def _sizes(scores: Float32[np.ndarray, "users k"]) -> Float64[np.ndarray, " n"]:
    return np.abs(scores[scores > -np.inf]).astype(np.float64)


def _norms(release: Release, names: list[str]) -> Float64[np.ndarray, " users"]:
    return lengths(release.user_vectors[release.user_rows(names)])


def _scale(feature: str, now: np.ndarray, then: np.ndarray) -> tuple[Scale, ...]:
    """The two medians; none where a side has no values."""
    return (Scale(feature, float(np.median(now)), float(np.median(then))),) if len(now) and len(then) else ()


def lengths(vectors: Float32[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
    """Norms over the dimensions that differ between rows: the constant one that carries biases would hide the others.

    >>> lengths(np.array([[3, 1], [0, 1]], np.float32)).tolist()
    [3.0, 0.0]
    """
    varied = _varied(vectors)
    return np.sqrt(np.einsum("nd,nd->n", varied, varied, dtype=np.float64))


def _varied(vectors: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n varied"]:
    return vectors[:, (vectors != vectors[:1]).any(axis=0)]


def spread(vectors: Float32[np.ndarray, "n dim"], seed: int) -> Float64[np.ndarray, " pairs"]:
    """Cosine distances of all pairs of at most `SPREAD_ITEMS` drawn vectors, without zeros and constant dimensions.

    All near 0 means that vectors have fallen together; it holds for any scale and any number of dimensions.
    """
    drawn = np.random.default_rng(seed).permutation(len(vectors))[:SPREAD_ITEMS]
    varied = _varied(vectors[np.sort(drawn)]).astype(np.float64)
    norm = np.linalg.norm(varied, axis=1)
    unit = varied[norm > 0] / norm[norm > 0, None]
    return (1 - unit @ unit.T)[np.triu_indices(len(unit), 1)]


def shifts(champion: Profile, candidate: Profile) -> tuple[Shift, ...]:
    """PSI of what lists hold, where both profiles have it; a feature that vanished is infinitely far."""
    report = drift_report(_of_lists(champion), _of_lists(candidate), DriftLimits())
    found = {row.feature: row for row in report.rows}
    return tuple(
        Shift(
            name, math.inf if math.isnan(row.value) else row.value, 0.0 if math.isnan(row.threshold) else row.threshold
        )
        for name in LIST_FEATURES
        if (row := found.get(name)) is not None and (row.breached or not math.isnan(row.value))
    )


def _of_lists(profile: Profile) -> Profile:
    return Profile({name: found for name, found in profile.distributions.items() if name in LIST_FEATURES})
