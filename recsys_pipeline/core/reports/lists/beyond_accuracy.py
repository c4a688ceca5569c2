"""List metrics beyond accuracy, one registered function each: diversity, novelty, serendipity, calibration.

All give one value per user and cut-off, so the bootstrap over users applies to them. A value is NaN where the notion
is undefined for that user (an empty list has no novelty, one item has no diversity). Empty places are −1 and left out
of means. `list_qualities` is the readable twin: one user, one list, plain Python. What is a property of all lists
together (coverage, Gini) is in `exposure.py`.
"""

import math
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy
import scipy.sparse
from jaxtyping import Bool, Float, Float64, Int, Integer

from recsys_pipeline.core.errors import DataError, SettingError

KL_ALPHA = 0.01
"""How much of the history's mix is added to the list's, so that a missing category costs much but not infinitely."""

_BLOCK_CELLS = 4_000_000  # users × dimensions held at once: 32 MB


@dataclass(frozen=True)
class ListFacts:
    """What list metrics are computed from; a field is None where the source has nothing of the kind."""

    top: Integer[np.ndarray, "users places"]
    """Recommended items, best first; −1 in empty places."""
    popularity: Int[np.ndarray, " items"]
    """Train rows of each item."""
    n_train_users: int
    """Users with at least one train row."""
    hits: Bool[np.ndarray, "users places"] | None = None
    """Which places hold a relevant test item."""
    expected: Integer[np.ndarray, "users expected_places"] | None = None
    """What the plainest model (popularity) recommends to the same users."""
    vectors: Float[np.ndarray, "items dim"] | None = None
    """Any vectors whose cosine says how alike two items are."""
    item_mix: Float[np.ndarray, "items categories"] | None = None
    """Category shares of each item, rows sum to 1 (or 0 where an item has no category)."""
    history_mix: Float[np.ndarray, "users categories"] | None = None
    """Category shares of each user's train items."""


@dataclass(frozen=True)
class ListMetric:
    """One registered metric: `function(top, *needs, ks) -> [users, ks]`, where `needs` names fields of `ListFacts`."""

    name: str
    needs: tuple[str, ...]
    function: Callable[..., np.ndarray]


LIST_METRICS: dict[str, ListMetric] = {}
"""Every per-user list metric by its short name, in the order in which reports show them."""

F = TypeVar("F", bound=Callable[..., np.ndarray])


def list_metric(name: str, needs: tuple[str, ...]) -> Callable[[F], F]:
    """Register a per-user list metric under its short name with the fields of `ListFacts` that it takes."""

    def register(function: F) -> F:
        if name in LIST_METRICS:
            raise SettingError(f"two list metrics register the name {name!r}")
        LIST_METRICS[name] = ListMetric(name, needs, function)
        return function

    return register


def list_values(
    facts: ListFacts, ks: Sequence[int]
) -> tuple[tuple[tuple[str, int], ...], Float64[np.ndarray, "users columns"]]:
    """Every registered metric whose facts are there: the (metric, k) of each column, and the values of each user."""
    cutoffs = check_ks(ks)
    columns: list[tuple[str, int]] = []
    parts = [np.empty((len(facts.top), 0))]
    for metric in LIST_METRICS.values():
        given = [getattr(facts, need) for need in metric.needs]
        if any(value is None for value in given):
            continue
        columns += [(metric.name, k) for k in cutoffs]
        parts.append(metric.function(facts.top, *given, cutoffs))
    return tuple(columns), np.concatenate(parts, axis=1)


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Distinct cut-offs, each 1 or more; raises `SettingError` for others."""
    if not ks or min(ks) < 1 or len(set(ks)) != len(ks):
        raise SettingError(f"ks = {tuple(ks)}: give distinct cut-offs, each 1 or more")
    return tuple(ks)


@list_metric("diversity", needs=("vectors",))
def diversity(
    top: Integer[np.ndarray, "users places"], vectors: Float[np.ndarray, "items dim"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """Intra-list diversity: 1 − the mean cosine of all pairs of the first k items; 0 is k times the same.

    Over m unit vectors Σ_{i≠j} cos(i, j) = |Σ_i v_i|² − m, so running sums give every k in one pass, with no pairs.
    Items with a zero vector have no direction and are left out; NaN where fewer than two are left.
    Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005: its intra-list
    similarity as a mean over pairs, taken from 1.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all():
        raise DataError(f"the vector of item {int(np.argmin(np.isfinite(norms)))} is not finite: leave it zero instead")
    units = vectors / np.where(norms > 0, norms, 1.0)[:, None]
    counted = np.column_stack([units, norms > 0])

    def of_block(rows: slice) -> np.ndarray:
        values = np.full((len(top[rows]), len(ks)), np.nan)
        for at, sums in _running_sums(top[rows], counted, ks):
            n = sums[:, -1]
            similar = np.einsum("ud,ud->u", sums[:, :-1], sums[:, :-1]) - n
            np.divide(similar, n * (n - 1), out=values[:, at], where=n > 1)
        return 1.0 - values

    return _in_blocks(of_block, len(top), counted.shape[1], len(ks))


@list_metric("popularity_rank", needs=("popularity",))
def popularity_rank(
    top: Integer[np.ndarray, "users places"], popularity: Int[np.ndarray, " items"], ks: tuple[int, ...]
) -> Float64[np.ndarray, "users ks"]:
    """Novelty as the mean popularity rank of the first k items: 1 is the most popular item, higher is less known.

    Items with equally many train rows share the mean of their ranks.
    Vargas and Castells, "Rank and relevance in novelty and diversity metrics", RecSys 2011, popularity-based novelty.
    """
    return _means_at(scipy.stats.rankdata(-popularity, method="average"), top, ks)


@list_metric("self_information", needs=("popularity", "n_train_users"))
def self_information(
    top: Integer[np.ndarray, "users places"],
    popularity: Int[np.ndarray, " items"],
    n_train_users: int,
    ks: tuple[int, ...],
) -> Float64[np.ndarray, "users ks"]:
    """Novelty in bits: the mean of log2(users / users who have the item) over the first k items.

    An item without train rows counts as one with a single row: log2(users), the most that can be observed.
    Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010, "surprisal".
    """
    return _means_at(math.log2(max(n_train_users, 1)) - np.log2(np.maximum(popularity, 1)), top, ks)


@list_metric("serendipity", needs=("hits", "expected"))
def serendipity(
    top: Integer[np.ndarray, "users places"],
    hits: Bool[np.ndarray, "users places"],
    expected: Integer[np.ndarray, "users expected_places"],
    ks: tuple[int, ...],
) -> Float64[np.ndarray, "users ks"]:
    """The share of the first k places that hold a relevant item which the plainest model's first k places miss.

    `expected` are the lists of a popularity model for the same users, with what they have seen left out as well.
    Empty places count as misses, as in precision.
    Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010 (what the primitive model does not
    predict, and is useful); reviewed by Kotkov et al., "A survey of serendipity in recommender systems", 2016.
    """
    user, place = np.nonzero(hits)
    found = expected[user] == top[user, place][:, None]
    expected_place = np.where(found.any(axis=1), found.argmax(axis=1) if found.shape[1] else 0, np.iinfo(np.int64).max)
    counts = [np.bincount(user[(place < k) & (expected_place >= k)], minlength=len(top)) / k for k in ks]
    return np.stack(counts, axis=1).astype(np.float64)


@list_metric("miscalibration", needs=("item_mix", "history_mix"))
def miscalibration(
    top: Integer[np.ndarray, "users places"],
    item_mix: Float[np.ndarray, "items categories"],
    history_mix: Float[np.ndarray, "users categories"],
    ks: tuple[int, ...],
) -> Float64[np.ndarray, "users ks"]:
    """How far the list's category mix q is from the user's own p: KL(p ‖ (1 − α) q + α p) in nats, α = 0.01.

    0 where the list mirrors the history; at most ln(1/α) = 4.6, where no category of the history is in the list.
    NaN where the user's history, or the list, holds no item with a category.
    Steck, "Calibrated recommendations", RecSys 2018, with equal weights.
    """

    def of_block(rows: slice) -> np.ndarray:
        wanted, known = _shares(history_mix[rows])
        values = np.full((len(wanted), len(ks)), np.nan)
        for at, sums in _running_sums(top[rows], item_mix.astype(np.float64), ks):
            given, filled = _shares(sums)
            mixed = (1 - KL_ALPHA) * given + KL_ALPHA * wanted
            terms = wanted * np.log(np.divide(wanted, mixed, out=np.ones_like(wanted), where=wanted > 0))
            values[:, at] = np.where(known & filled, terms.sum(axis=1), np.nan)
        return values

    return _in_blocks(of_block, len(top), item_mix.shape[1], len(ks))


def list_qualities(
    recommended: Sequence[int],
    k: int,
    popularity: Sequence[int],
    n_train_users: int,
    vectors: Sequence[Sequence[int | float]],
    relevant: Set[int],
    expected: Sequence[int],
    item_mix: Sequence[Sequence[int | float]],
    history_mix: Sequence[int | float],
) -> dict[str, float]:
    """The readable twin of `list_values`: one user's list, pair by pair and item by item."""
    items = [item for item in recommended[:k] if item >= 0]
    directed = [vectors[item] for item in items if any(vectors[item])]
    pairs = [_cosine(a, b) for i, a in enumerate(directed) for b in directed[:i]]
    ranks = [sum(c > popularity[i] for c in popularity) + (popularity.count(popularity[i]) + 1) / 2 for i in items]
    bits = [math.log2(n_train_users / max(popularity[item], 1)) for item in items]
    unexpected = [item for item in items if item in relevant and item not in expected[:k]]
    sums = [sum(item_mix[item][c] for item in items) for c in range(len(history_mix))]
    return {
        "diversity": 1 - sum(pairs) / len(pairs) if pairs else math.nan,
        "popularity_rank": sum(ranks) / len(ranks) if ranks else math.nan,
        "self_information": sum(bits) / len(bits) if bits else math.nan,
        "serendipity": len(unexpected) / k,
        "miscalibration": _kl(history_mix, sums) if sum(sums) and sum(history_mix) else math.nan,
    }


def _cosine(a: Sequence[int | float], b: Sequence[int | float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def _kl(history: Sequence[int | float], shown: Sequence[int | float]) -> float:
    p = [share / sum(history) for share in history]
    q = [share / sum(shown) for share in shown]
    return sum(a * math.log(a / ((1 - KL_ALPHA) * b + KL_ALPHA * a)) for a, b in zip(p, q, strict=True) if a > 0)


def _shares(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows divided by their totals, and which rows have one."""
    totals = sums.sum(axis=1, dtype=np.float64)
    return sums / np.where(totals > 0, totals, 1.0)[:, None], totals > 0


def _running_sums(top: np.ndarray, matrix: np.ndarray, ks: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """Sums of the matrix rows of each user's first k items, with the column of k, for ascending k in one pass.

    The sum is a sparse product, which never holds users × places × dimensions.
    """
    total, done = np.zeros((len(top), matrix.shape[1])), 0
    for at in np.argsort(ks, kind="stable"):
        part = top[:, done : ks[at]]
        if part.size and len(matrix):
            starts = np.arange(0, part.size + 1, part.shape[1])
            entries = ((part >= 0).astype(np.float64).ravel(), np.maximum(part, 0).ravel(), starts)
            total += scipy.sparse.csr_array(entries, shape=(len(part), len(matrix))) @ matrix
        done = ks[at]
        yield int(at), total


def _means_at(per_item: np.ndarray, top: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """The mean of an item's figure over the filled places of the first k; NaN for empty lists."""
    columns = np.column_stack([per_item, np.ones(len(per_item))])
    means = np.full((len(top), len(ks)), np.nan)
    for at, sums in _running_sums(top, columns, ks):
        np.divide(sums[:, 0], sums[:, 1], out=means[:, at], where=sums[:, 1] > 0)
    return means


def _in_blocks(of_block: Callable[[slice], np.ndarray], n_users: int, width: int, n_ks: int) -> np.ndarray:
    """A per-user computation some users at a time, so that memory does not grow with users × width."""
    rows = max(1, _BLOCK_CELLS // max(width, 1))
    blocks = [of_block(slice(start, start + rows)) for start in range(0, n_users, rows)]
    return np.concatenate([np.empty((0, n_ks)), *blocks])
