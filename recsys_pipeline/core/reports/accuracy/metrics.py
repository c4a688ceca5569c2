"""Ranking metrics per user, one registered function each, computed for all users and cut-offs in one pass.

A recommended list is ordered by score, highest first. Where scores are equal, every figure is its mean over all orders
of the tied items, each as likely (McSherry and Najork, ECIR 2008), in closed form: no figure depends on how items are
numbered. `k` is never shortened: where a catalogue has fewer than `k` items, or a user has fewer than `k` unseen ones,
the empty places count as misses. What is not defined for a user is NaN. `docs/metrics.md` has all definitions.

`list_metrics` is the readable twin: one user, one list, plain Python.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float64, Integer

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.judged import Judged

Function = Callable[[Judged, tuple[int, ...]], np.ndarray]
"""`f(lists, ks) -> [users, len(ks)]`, or `[users, 1]` for a metric without a cut-off."""


class RankingMetric(NamedTuple):
    """A registered metric; one without a cut-off is reported at k = 0."""

    function: Function
    has_cutoff: bool


RANKING_METRICS: dict[str, RankingMetric] = {}
"""Every per-user ranking metric by its short name, in the order in which reports show them."""

F = TypeVar("F", bound=Function)


def ranking_metric(name: str, has_cutoff: bool = True) -> Callable[[F], F]:
    """Register a per-user ranking metric under its short name: reports and bootstraps then include it."""

    def register(function: F) -> F:
        if name in RANKING_METRICS:
            raise SettingError(f"two ranking metrics register the name {name!r}")
        RANKING_METRICS[name] = RankingMetric(function, has_cutoff)
        return function

    return register


@ranking_metric("ndcg")
def ndcg(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """Normalised discounted cumulative gain: hits near the top count for more.

    DCG@k = Σ_{r≤k} hit_r / log2(r + 1), divided by the DCG of the best possible list, which holds
    min(n_relevant, k) hits in a row: the ideal is over all relevant items, not over those that were found.
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
    """
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(max(ks)))])
    gains = _at(np.cumsum(lists.hits * _discounts(lists.hits.shape[1]), axis=1), ks)
    return gains / ideal[np.minimum(lists.n_relevant[:, None], np.asarray(ks))]


@ranking_metric("recall")
def recall(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """The share of a user's relevant items that the first k places hold: hits@k / n_relevant.

    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.2.
    """
    return _hits_at(lists, ks) / lists.n_relevant[:, None]


@ranking_metric("precision")
def precision(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """The share of the first k places that hold a relevant item: hits@k / k.

    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.1.
    """
    return _hits_at(lists, ks) / np.asarray(ks, dtype=np.float64)


@ranking_metric("map")
def average_precision(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """Average precision; its mean over users is MAP.

    AP@k = Σ_{r≤k} hit_r · precision@r / min(n_relevant, k), so that a perfect list scores 1 at every k.
    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.8, cut at k.
    """
    sums = _at(np.cumsum(lists.hits_so_far / _places(lists), axis=1), ks)
    return sums / np.minimum(lists.n_relevant[:, None], np.asarray(ks))


@ranking_metric("mrr")
def reciprocal_rank(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """One over the place of the first hit, 0 where the first k places hold none; its mean over users is MRR.

    Voorhees, "The TREC-8 question answering track report", 1999.
    """
    before = np.concatenate([np.ones((len(lists.hits), 1)), lists.nothing_yet], axis=1)
    return _at(np.cumsum((before[:, :-1] - lists.nothing_yet) / _places(lists), axis=1), ks)


@ranking_metric("hit_rate")
def hit_rate(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """1 where the first k places hold at least one relevant item, else 0.

    Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004.
    """
    return _at(1.0 - lists.nothing_yet, ks)


@ranking_metric("arhr")
def reciprocal_hit_rank(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """Reciprocal places of all hits added up, Σ_{r≤k} hit_r / r; its mean over users is ARHR.

    With one relevant item per user it is the reciprocal rank; with more it may exceed 1.
    Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004, equation 10.
    """
    return _at(np.cumsum(lists.hits / _places(lists), axis=1), ks)


@ranking_metric("graded_ndcg")
def graded_ndcg(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """NDCG whose gain is the value of the item (stars, say) instead of 1; values below 0 gain nothing.

    DCG@k = Σ_{r≤k} value_r / log2(r + 1) over that of the relevant items by falling value. NaN for a user none of
    whose relevant items has a value above 0. Järvelin and Kekäläinen, TOIS 2002 (linear gains).
    """
    gained = _at(np.cumsum(lists.gains * _discounts(lists.gains.shape[1]), axis=1), ks)
    ideal = _at(np.cumsum(lists.ideal_gains * _discounts(lists.ideal_gains.shape[1]), axis=1), ks)
    return np.divide(gained, ideal, out=np.full(gained.shape, np.nan), where=ideal > 0)


@ranking_metric("limited_auc")
def limited_auc(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users ks"]:
    """AUC of the first k places, as if everything below them were in random order.

    The ROC curve follows the list down to place k and then runs straight to (1, 1). NaN for a user all of whose
    candidates are relevant. Schröder, Thiele and Lehner, "Setting goals and choosing metrics for recommender system
    evaluations", UCERSTI 2011.
    """
    found = _hits_at(lists, ks)
    depths = _at(np.cumsum(lists.hits * _places(lists), axis=1), ks)
    shown = np.minimum(np.minimum(ks, lists.hits.shape[1]), lists.n_candidates[:, None])
    relevant = lists.n_relevant[:, None].astype(np.float64)
    others = lists.n_candidates[:, None] - relevant
    # Each hit at place r wins over what is shown below it, less the hits there: Σ (shown − r) − found (found − 1) / 2.
    # With the part below the list, (others − shown + found) (found + relevant) / 2, the squares of `found` cancel, so
    # that the mean over orders of ties needs the means of `found` and of `depths` only.
    area = shown * found - depths + found / 2 + (others - shown) * (found + relevant) / 2 + found * relevant / 2
    return np.divide(area, relevant * others, out=np.full(area.shape, np.nan), where=others > 0)


@ranking_metric("r_precision", has_cutoff=False)
def r_precision(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users one"]:  # noqa: ARG001 - no cut-off
    """Precision at as many places as the user has relevant items, where it equals recall.

    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 8.4.
    """
    found = lists.places.chance_within(lists.n_relevant[lists.row_user])
    hits = np.bincount(lists.row_user, found, len(lists.n_relevant))
    return (hits / lists.n_relevant)[:, None]


@ranking_metric("auc", has_cutoff=False)
def auc(lists: Judged, ks: tuple[int, ...]) -> Float64[np.ndarray, "users one"]:  # noqa: ARG001 - no cut-off
    """The chance that a relevant item is ranked above one that is not, over all candidates; ties count half, as in
    the mean over their orders.

    1 − (Σ mean place − R(R + 1)/2) / (R · N) with R relevant items and N others (Mann and Whitney 1947). NaN for a
    user all of whose candidates are relevant.
    """
    relevant = lists.n_relevant.astype(np.float64)
    others = lists.n_candidates - relevant
    above = np.bincount(lists.row_user, lists.places.middle, len(relevant)) - relevant * (relevant + 1) / 2
    ratio = np.divide(above, relevant * others, out=np.full(len(relevant), np.nan), where=others > 0)
    return (1 - ratio)[:, None]


def metric_columns(ks: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """The (metric, k) pairs of `user_metrics`, in column order; k is 0 for a metric without a cut-off."""
    return tuple((name, k) for name, metric in RANKING_METRICS.items() for k in (ks if metric.has_cutoff else (0,)))


def user_metrics(lists: Judged, ks: Sequence[int]) -> Float64[np.ndarray, "users columns"]:
    """Every registered metric of every user at every k, columns as `metric_columns(ks)`.

    Raises `SettingError` for a k below 1 or a user without relevant items.
    """
    cutoffs = tuple(ks)
    if not cutoffs or min(cutoffs) < 1:
        raise SettingError(f"ks = {cutoffs}: give at least one cut-off, each 1 or more")
    if len(lists.n_relevant) and lists.n_relevant.min() < 1:
        raise SettingError(f"user row {int(lists.n_relevant.argmin())} has no relevant items: leave such users out")
    return np.concatenate([metric.function(lists, cutoffs) for metric in RANKING_METRICS.values()], axis=1)


def catalogue_coverage(
    top: Integer[np.ndarray, "users places"], n_items: int, ks: Sequence[int]
) -> Float64[np.ndarray, " ks"]:
    """The share of the catalogue that at least one user is shown among the first k places, for each k.

    Empty places are −1. NaN, with a warning, where there is no list or no item.
    Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010, equation 3.
    """
    if not len(top) or not n_items:
        warnings.warn("catalogue coverage of no lists is undefined: reported as NaN", stacklevel=2)
        return np.full(len(ks), np.nan)
    shown = [np.unique(top[:, :k]) for k in ks]
    return np.asarray([(items >= 0).sum() / n_items for items in shown], dtype=np.float64)


def _discounts(n_places: int) -> Float64[np.ndarray, " places"]:
    return 1.0 / np.log2(np.arange(n_places) + 2.0)


def _places(lists: Judged) -> Float64[np.ndarray, " places"]:
    return np.arange(1.0, lists.hits.shape[1] + 1)


def _hits_at(lists: Judged, ks: tuple[int, ...]) -> np.ndarray:
    return _at(np.cumsum(lists.hits, axis=1), ks)


def _at(running: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Columns of a running total at each k; past the last place the total stands still."""
    if not running.shape[1]:
        return np.zeros((len(running), len(ks)))
    return running[:, np.minimum(ks, running.shape[1]) - 1]
