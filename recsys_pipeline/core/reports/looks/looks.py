"""How well products are found for scenes: accuracy, AUC, hit rate, MRR and hubness, beside simple baselines.

Every product of the catalogue competes, as in `ranking.py`. A scene's other products are left out of a pair's
ranking: they are right answers too. Intervals draw scenes, since the pairs of one scene are not independent.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.neighbors.hubness import k_occurrence_skewness
from recsys_pipeline.core.reports.accuracy.ratios import ratio_intervals
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, Estimate
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces

Scorer = Callable[[Int32[np.ndarray, " pairs"]], Float32[np.ndarray, "pairs products"]]
"""Scores of every product for the scene of each look row, that row's product blanked out; higher is better."""

PAIRS_AT_ONCE = 256
HUB_K = 10
"""List length whose k-occurrence tells hubness, as in Radovanović et al. 2010."""


@dataclass(frozen=True)
class PairFigures:
    """Figures of one model, one row per pair; all models on the same pairs define the same ones."""

    model: str
    columns: tuple[tuple[str, int], ...]
    """(metric, k) of each column."""
    values: Float64[np.ndarray, "pairs columns"]
    """NaN where a pair does not define the figure."""
    scenes: Int32[np.ndarray, " pairs"]
    hubness: float
    """Skewness of how often each product is in a top 10; NaN where all are equally often."""


def evaluate_looks(
    scorers: Mapping[str, Scorer],
    data: LookData,
    rows: Int32[np.ndarray, " pairs"],
    negatives: Int32[np.ndarray, "as_many n_negatives"],
    seed: int,
    ks: Sequence[int] = (10, 20),
    n_resamples: int = N_RESAMPLES,
) -> list[Estimate]:
    """Every figure of every model on the same pairs, with intervals over scenes; see `pair_figures`."""
    return [
        row
        for name, scorer in scorers.items()
        for row in look_estimates(pair_figures(name, scorer, data, rows, negatives, ks), seed, n_resamples)
    ]


def pair_figures(
    name: str,
    scorer: Scorer,
    data: LookData,
    rows: Int32[np.ndarray, " pairs"],
    negatives: Int32[np.ndarray, "as_many n_negatives"],
    ks: Sequence[int] = (10, 20),
) -> PairFigures:
    """What one model makes of each pair.

    `rows` are looks (of the test part) and `negatives` their fixed products that are not in the scene. Metrics, with
    `category_` where only the product's own category competes:

    - `same_category_accuracy`: share of fixed negatives of the same category that score below the true product
    - `auc`, `category_auc`: the same over all products that are not in the scene
    - `hit_rate`, `category_hit_rate` at each k, `mrr`, `category_mrr`: by the place of the true product
    - `hubness` at 10: skewness of how often each product is in a top 10; 0 is even, and in Radovanović et al.,
      "Hubs in space", JMLR 2010, values above about 1.4 are strong hubs. It has no interval: drawing a scene twice
      would by itself make hubs

    Under equal scores each figure is its mean over all orders of them; ties count half in accuracy and AUC. Pairs whose
    category has no other product are left out of the category metrics. Raises `ModelError` where a score is not finite.
    """
    if len(rows) != len(negatives):
        raise SettingError(f"{len(rows)} pairs but negatives for {len(negatives)}: take both from the same folds")
    if not ks or min(ks) < 1:
        raise SettingError(f"ks = {tuple(ks)}: give at least one cut-off, each 1 or more")
    columns = _columns(ks)
    parts = list(_score_parts(name, scorer, data, rows, negatives, ks))
    values = np.concatenate([part for part, _ in parts]) if parts else np.zeros((0, len(columns)))
    tops = np.concatenate([top for _, top in parts]) if parts else np.zeros((0, HUB_K), np.int32)
    return PairFigures(
        name, tuple(columns), values, data.scene[rows], k_occurrence_skewness(tops, len(data.product_ids))
    )


def look_estimates(figures: PairFigures, seed: int, n_resamples: int = N_RESAMPLES) -> list[Estimate]:
    """Means over pairs with 95% percentile intervals of resampled scenes; NaN, with a warning, without such pairs."""
    sums, counts = scene_sums(figures.values, figures.scenes)
    undefined = [column for column, n in zip(figures.columns, counts.sum(axis=0), strict=True) if n == 0]
    if undefined:
        warnings.warn(f"{figures.model}: no pair defines {undefined}: reported as NaN", stacklevel=2)
    if math.isnan(figures.hubness):
        warnings.warn(f"{figures.model}: all products are recommended equally often, hubness is NaN", stacklevel=2)
    value, low, high = ratio_intervals(sums, counts, seed, n_resamples)
    n_pairs = counts.sum(axis=0)
    rows = [
        Estimate(figures.model, metric, k, float(value[at]), float(low[at]), float(high[at]), int(n_pairs[at]))
        for at, (metric, k) in enumerate(figures.columns)
    ]
    return [*rows, Estimate(figures.model, "hubness", HUB_K, figures.hubness, math.nan, math.nan, len(figures.values))]


def scene_sums(
    values: Float64[np.ndarray, "pairs columns"], scenes: Int32[np.ndarray, " pairs"]
) -> tuple[Float64[np.ndarray, "scenes columns"], Float64[np.ndarray, "scenes columns"]]:
    """Per scene the sum of the defined values, and how many there are."""
    _, cluster = np.unique(scenes, return_inverse=True)
    defined = ~np.isnan(values)
    sums, counts = np.zeros((2, int(cluster.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, cluster, np.where(defined, values, 0.0))
    np.add.at(counts, cluster, defined)
    return sums, counts


def recommended_products(
    scorer: Scorer, data: LookData, rows: Int32[np.ndarray, " pairs"], k: int, same_category: bool = True
) -> Int32[np.ndarray, "pairs k"]:
    """The best k products for each pair's scene, its other products left out; −1 where there are fewer than k."""
    lists = []
    for part in _parts(rows):
        free, same = _competitors(data, part)
        allowed = (free | _own(data, part)) & (same if same_category else True)
        lists.append(_top(np.where(allowed, scorer(part), -np.inf), data, k))
    return np.concatenate(lists) if lists else np.zeros((0, k), np.int32)


def _columns(ks: Sequence[int]) -> list[tuple[str, int]]:
    """(metric, k) of the columns of `_pair_metrics`."""
    scopes = ["", "category_"]
    ranked = [(f"{scope}{name}", 0) for scope in scopes for name in ("auc", "mrr")]
    return [("same_category_accuracy", 0), *ranked, *((f"{scope}hit_rate", k) for scope in scopes for k in ks)]


def _score_parts(
    name: str, scorer: Scorer, data: LookData, rows: np.ndarray, negatives: np.ndarray, ks: Sequence[int]
) -> Iterator[tuple[Float64[np.ndarray, "pairs columns"], Int32[np.ndarray, "pairs k"]]]:
    """Metrics and top lists of some pairs at a time, so that scores of all pairs are never held at once."""
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        part = rows[start : start + PAIRS_AT_ONCE]
        scores = scorer(part)
        if not np.isfinite(scores).all():
            bad = part[np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]]
            # NaN loses every comparison, so that a broken model would come out perfect.
            raise ModelError(f"{name}: a score of scene {data.scene_ids[data.scene[bad]]!r} is not finite: train again")
        free, same = _competitors(data, part)
        yield (
            _pair_metrics(scores, data, part, negatives[start : start + PAIRS_AT_ONCE], free, same, ks),
            _top(np.where(free | _own(data, part), scores, -np.inf), data, HUB_K),
        )


def _competitors(
    data: LookData, rows: Int32[np.ndarray, " pairs"]
) -> tuple[Bool[np.ndarray, "pairs products"], Bool[np.ndarray, "pairs products"]]:
    """Products that are not in the pair's scene, and products of the pair's category."""
    free = np.ones((len(rows), len(data.product_ids)), bool)
    order = np.argsort(data.scene, kind="stable")
    starts = np.searchsorted(data.scene[order], np.arange(len(data.scene_ids) + 1))
    for number, scene in enumerate(data.scene[rows]):
        free[number, data.product[order[starts[scene] : starts[scene + 1]]]] = False
    return free, data.product_category == data.product_category[data.product[rows]][:, None]


def _own(data: LookData, rows: Int32[np.ndarray, " pairs"]) -> Bool[np.ndarray, "pairs products"]:
    """The pair's own product: in its scene, but what its list is asked for."""
    return np.arange(len(data.product_ids)) == data.product[rows][:, None]


def _pair_metrics(
    scores: Float32[np.ndarray, "pairs products"],
    data: LookData,
    rows: Int32[np.ndarray, " pairs"],
    negatives: Int32[np.ndarray, "pairs n_negatives"],
    free: Bool[np.ndarray, "pairs products"],
    same: Bool[np.ndarray, "pairs products"],
    ks: Sequence[int],
) -> Float64[np.ndarray, "pairs columns"]:
    """One row of figures per pair, NaN where the category leaves no competitor."""
    each = np.arange(len(rows))[:, None]
    true = scores[each, data.product[rows][:, None]]
    above = (scores > true) + 0.5 * (scores == true)
    wins = 1 - above[each, negatives]
    comparable = same[each, negatives]
    columns = [_ratio((wins * comparable).sum(1), comparable.sum(1))]
    places = []
    for among in (free, free & same):
        n, ahead = among.sum(1), (above * among).sum(1)
        higher, tied = ((scores > true) & among).sum(1), ((scores == true) & among).sum(1)
        place = TiedPlaces(higher.astype(np.int32), tied.astype(np.int32) + np.int32(1))  # its own product too
        places.append((n > 0, place))
        columns += [1 - _ratio(ahead, n), np.where(n > 0, place.mean_gain(lambda at: 1 / at, scores.shape[1]), np.nan)]
    columns += [np.where(defined, place.chance_within(k), np.nan) for defined, place in places for k in ks]
    return np.stack(columns, axis=1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> Float64[np.ndarray, " n"]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _top(scores: Float32[np.ndarray, "pairs products"], data: LookData, k: int) -> Int32[np.ndarray, "pairs k"]:
    """The k best products, equals by the hash of their ids, −1 for those that score −inf or do not exist."""
    return top_k(scores, k, text_hashes(data.product_ids))[0].astype(np.int32)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        yield rows[start : start + PAIRS_AT_ONCE]
