"""How much users' lists change from one day to the next.

Lists hold item numbers, best first, −1 in empty places. Both sides must number items alike: `renumbered` brings an
earlier day's lists to today's numbers.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int, Int64, Integer

from recsys_pipeline.core.reports.lists.beyond_accuracy import check_ks

PERSISTENCE = 0.9
"""Of RBO: the chance that a reader goes on to the next place; at 0.9 the first ten weigh 86% (Webber et al.)."""

_BLOCK_PLACES = 1_000_000  # users × places compared at once: 100 MB


def users_on_both(
    before: Sequence[str] | np.ndarray, after: Sequence[str] | np.ndarray
) -> tuple[Int[np.ndarray, " both"], Int[np.ndarray, " both"]]:
    """Rows of the users on both days, matched by id: row numbers in `before`, and in `after`; warns where none is."""
    _, rows_before, rows_after = np.intersect1d(np.asarray(before), np.asarray(after), return_indices=True)
    if not len(rows_before):
        warnings.warn("no user has lists on both days: churn is undefined and reported as NaN", stacklevel=2)
    return rows_before, rows_after


def renumbered(
    lists: Integer[np.ndarray, "users places"],
    from_ids: Sequence[str] | np.ndarray,
    to_ids: Sequence[str] | np.ndarray,
) -> Int64[np.ndarray, "users places"]:
    """Lists in the item numbers of another day, matched by id; an item that is gone gets a number of its own."""
    rows = {name: row for row, name in enumerate(to_ids)}
    new = np.array([rows.get(name, len(to_ids) + row) for row, name in enumerate(from_ids)], np.int64)
    return np.where(lists >= 0, np.append(new, -1)[np.maximum(lists, -1)], -1)


def jaccard_churn(
    before: Integer[np.ndarray, "users places_before"],
    after: Integer[np.ndarray, "users places_after"],
    ks: Sequence[int],
) -> Float64[np.ndarray, "users ks"]:
    """The share of items that changed: 1 − |before ∩ after| / |before ∪ after| over the first k places.

    0 where both hold the same items in any order, 1 where they share none, NaN where both are empty. A list of k
    that swaps one item has a churn of 2 / (k + 1). Jaccard 1912.
    """
    cutoffs = check_ks(ks)
    shared, n_before, n_after = _shared_counts(before, after, max(cutoffs))
    at = np.asarray(cutoffs) - 1
    union = (n_before + n_after - shared)[:, at]
    return 1.0 - np.divide(shared[:, at], union, out=np.full(union.shape, np.nan), where=union > 0)


def rank_biased_churn(
    before: Integer[np.ndarray, "users places_before"],
    after: Integer[np.ndarray, "users places_after"],
    ks: Sequence[int],
    persistence: float = PERSISTENCE,
) -> Float64[np.ndarray, "users ks"]:
    """1 − rank-biased overlap: as `jaccard_churn`, but changes near the top count for more, and so does their order.

    RBO_ext(k) = A_k p^k + (1 − p) / p · Σ_{d ≤ k} A_d p^d with the agreement A_d = 2 |shared in first d| / (places
    filled in both), p the persistence. NaN where both lists are empty.
    Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", TOIS 2010: the extrapolated
    form, with the agreement of their section on ties, which suits short lists too.
    """
    cutoffs = check_ks(ks)
    shared, n_before, n_after = _shared_counts(before, after, max(cutoffs))
    filled = n_before + n_after
    agreement = np.divide(2 * shared, filled, out=np.full(filled.shape, np.nan), where=filled > 0)
    weights = persistence ** np.arange(1, max(cutoffs) + 1)
    at = np.asarray(cutoffs) - 1
    sums = np.cumsum(agreement * weights, axis=1)[:, at]
    return 1.0 - (agreement[:, at] * weights[at] + (1 - persistence) / persistence * sums)


def jaccard_churn_loop(before: Sequence[int], after: Sequence[int], k: int) -> float:
    """The readable twin of `jaccard_churn`: two lists of one user."""
    old, new = ({item for item in items[:k] if item >= 0} for items in (before, after))
    return 1 - len(old & new) / len(old | new) if old | new else math.nan


def rank_biased_churn_loop(before: Sequence[int], after: Sequence[int], k: int, persistence: float) -> float:
    """The readable twin of `rank_biased_churn`: two lists of one user, depth by depth."""
    agreements = []
    for depth in range(1, k + 1):
        old, new = ({item for item in items[:depth] if item >= 0} for items in (before, after))
        agreements.append(2 * len(old & new) / (len(old) + len(new)) if old or new else math.nan)
    sums = sum(agreement * persistence**depth for depth, agreement in enumerate(agreements, start=1))
    return 1 - (agreements[-1] * persistence**k + (1 - persistence) / persistence * sums)


def _shared_counts(before: np.ndarray, after: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per user, for each depth 1…`depth`: items in both lists, filled places before, filled places after.

    An item is shared from the depth on at which both lists have shown it, so counting those depths and adding up
    gives all of them at once. Pairs are found by sorting user-item keys: no users × places × places array.
    """
    old, new = _padded(before, depth), _padded(after, depth)
    rows = max(1, _BLOCK_PLACES // depth)
    shared = [_shared_in_block(old[at : at + rows], new[at : at + rows]) for at in range(0, len(old), rows)]
    n_before, n_after = (np.cumsum(lists >= 0, axis=1) for lists in (old, new))
    return np.concatenate([np.empty((0, depth), np.int64), *shared]), n_before, n_after


def _shared_in_block(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    n_users, depth = old.shape
    size = max(int(old.max(initial=0)), int(new.max(initial=0))) + 1
    old_user, old_place = np.nonzero(old >= 0)
    new_user, new_place = np.nonzero(new >= 0)
    old_keys = old_user * size + old[old_user, old_place]
    new_keys = new_user * size + new[new_user, new_place]
    both, old_at, new_at = np.intersect1d(old_keys, new_keys, return_indices=True)
    first = both // size * depth + np.maximum(old_place[old_at], new_place[new_at])
    return np.cumsum(np.bincount(first, minlength=n_users * depth).reshape(n_users, depth), axis=1)


def _padded(lists: np.ndarray, depth: int) -> np.ndarray:
    """The first `depth` places, filled up with −1."""
    kept = lists[:, :depth]
    return np.pad(kept, ((0, 0), (0, depth - kept.shape[1])), constant_values=-1)
