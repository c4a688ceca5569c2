"""Ranking and rating metrics, one registered function each, computed for all users and cut-offs in one pass.

A recommended list is ordered by score, highest first; equal scores are ordered by the lower item index, so that every
figure is reproducible to the last digit. Relevance is binary. `k` is never shortened: where a catalogue has fewer than
`k` items, or a user has fewer than `k` unseen ones, the empty places count as misses.

`list_metrics` is the readable twin: one user, one list, plain Python.
"""

import math
import warnings
from collections.abc import Callable, Sequence, Set
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Integer

from recsys_pipeline.core.errors import SettingError

RankingMetric = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], np.ndarray]
"""`f(hits [users, places], n_relevant [users], ks) -> [users, len(ks)]`; `n_relevant` must be at least 1."""

RANKING_METRICS: dict[str, RankingMetric] = {}
"""Every per-user ranking metric by its short name, in the order in which reports show them."""

F = TypeVar("F", bound=RankingMetric)


def ranking_metric(name: str) -> Callable[[F], F]:
    """Register a per-user ranking metric under its short name: reports and bootstraps then include it."""

    def register(function: F) -> F:
        if name in RANKING_METRICS:
            raise SettingError(f"two ranking metrics register the name {name!r}")
        RANKING_METRICS[name] = function
        return function

    return register


@ranking_metric("ndcg")
def ndcg(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """Normalised discounted cumulative gain: hits near the top count for more.

    DCG@k = Σ_{r≤k} hit_r / log2(r + 1), divided by the DCG of the best possible list, which holds
    min(n_relevant, k) hits in a row: the ideal is over all relevant items, not over those that were found.
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
    """
    discounts = 1.0 / np.log2(np.arange(max(*ks, hits.shape[1])) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    gains = _at(np.cumsum(hits * discounts[: hits.shape[1]], axis=1), ks)
    return gains / ideal[np.minimum(n_relevant[:, None], np.asarray(ks))]


@ranking_metric("recall")
def recall(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """The share of a user's relevant items that the first k places hold: hits@k / n_relevant.

    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.2.
    """
    return _hits_at(hits, ks) / n_relevant[:, None]


@ranking_metric("precision")
def precision(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """The share of the first k places that hold a relevant item: hits@k / k.

    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.1.
    """
    del n_relevant
    return _hits_at(hits, ks) / np.asarray(ks, dtype=np.float64)


@ranking_metric("map")
def average_precision(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """Average precision; its mean over users is MAP.

    AP@k = Σ_{r≤k} hit_r · precision@r / min(n_relevant, k), so that a perfect list scores 1 at every k.
    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, equation 8.8, cut at k.
    """
    places = np.arange(1, hits.shape[1] + 1)
    sums = _at(np.cumsum(hits * np.cumsum(hits, axis=1) / places, axis=1), ks)
    return sums / np.minimum(n_relevant[:, None], np.asarray(ks))


@ranking_metric("mrr")
def reciprocal_rank(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """One over the place of the first hit, 0 where the first k places hold none; its mean over users is MRR.

    Voorhees, "The TREC-8 question answering track report", 1999.
    """
    del n_relevant
    misses_before = (np.cumsum(hits, axis=1) == 0).sum(axis=1)[:, None]
    found = np.any(hits, axis=1, keepdims=True) & (misses_before < np.asarray(ks))
    return np.where(found, 1.0 / (misses_before + 1.0), 0.0)


@ranking_metric("hit_rate")
def hit_rate(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """1 where the first k places hold at least one relevant item, else 0.

    Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004.
    """
    del n_relevant
    return (_hits_at(hits, ks) > 0).astype(np.float64)


def metric_columns(ks: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """The (metric, k) pairs of `user_metrics`, in column order."""
    return tuple((name, k) for name in RANKING_METRICS for k in ks)


def user_metrics(
    hits: Bool[np.ndarray, "users places"], n_relevant: Int[np.ndarray, " users"], ks: Sequence[int]
) -> Float64[np.ndarray, "users columns"]:
    """Every registered metric of every user at every k, columns as `metric_columns(ks)`.

    `hits[u, r]` says whether place r of user u's list is relevant; `n_relevant` counts all relevant items of the
    user, found or not, and must be at least 1. Raises `SettingError` for a k below 1 or a user without relevant items.
    """
    cutoffs = tuple(ks)
    if not cutoffs or min(cutoffs) < 1:
        raise SettingError(f"ks = {cutoffs}: give at least one cut-off, each 1 or more")
    if len(n_relevant) and n_relevant.min() < 1:
        raise SettingError(f"user row {int(n_relevant.argmin())} has no relevant items: leave such users out")
    return np.concatenate([metric(hits, n_relevant, cutoffs) for metric in RANKING_METRICS.values()], axis=1)


def list_metrics(recommended: Sequence[int], relevant: Set[int], k: int) -> dict[str, float]:
    """The readable twin of `user_metrics`: one user's list against the set of relevant items.

    >>> list_metrics([7, 3, 5], {3, 9}, k=3)["recall"]
    0.5
    """
    top = list(recommended)[:k]
    hit_places = [place for place, item in enumerate(top, start=1) if item in relevant]
    best_possible = min(len(relevant), k)
    precisions = [(index + 1) / place for index, place in enumerate(hit_places)]
    return {
        "ndcg": sum(1 / math.log2(place + 1) for place in hit_places)
        / sum(1 / math.log2(place + 1) for place in range(1, best_possible + 1)),
        "recall": len(hit_places) / len(relevant),
        "precision": len(hit_places) / k,
        "map": sum(precisions) / best_possible,
        "mrr": 1 / hit_places[0] if hit_places else 0.0,
        "hit_rate": float(bool(hit_places)),
    }


def rmse(squared_errors: Float[np.ndarray, " rows"]) -> float:
    """Root mean squared error sqrt(Σ (predicted − actual)² / n); NaN, with a warning, without rows."""
    if not len(squared_errors):
        warnings.warn("RMSE of no rows is undefined: reported as NaN", stacklevel=2)
        return math.nan
    return float(np.sqrt(np.mean(squared_errors, dtype=np.float64)))


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


def _hits_at(hits: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    return _at(np.cumsum(hits, axis=1), ks)


def _at(running: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Columns of a running total at each k; past the last place the total stands still."""
    if not running.shape[1]:
        return np.zeros((len(running), len(ks)))
    return running[:, np.minimum(ks, running.shape[1]) - 1]
