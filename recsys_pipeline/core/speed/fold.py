"""Users with new events, folded in on everything that is known of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.delta import Delta, Pairs


@dataclass(frozen=True)
class Merged:
    """What is known of the delta's users now: the release's histories, to which the delta's pairs are added.

    Pairs that are avoided now leave them.
    """

    histories: Ratings
    """Users by their number in the delta, items by their row in the release; only items that the model has."""
    item_rows: Int64[np.ndarray, " items"]
    """Of the delta's items in the release; −1 where it has none."""
    earlier_us: Float64[np.ndarray, " taken"]
    """When the release saw each pair of the delta last; NaN where it did not."""
    lost: Ratings
    """Pairs of the release that are avoided now, numbered as in `histories`."""


def merge(release: Release, delta: Delta) -> Merged:
    """The users' histories as a snapshot at the end of the delta would tell them; O(their rows), not O(release)."""
    base = release.history(release.user_rows(delta.user_ids))
    item_rows = release.item_rows(delta.item_ids)
    row = item_rows[delta.taken.item]
    is_known = (row >= 0) & (row < release.n_items)
    among = base.user.astype(np.int64) * release.n_items + base.item
    at = _places(_keys(delta.taken, item_rows, release.n_items), among)
    gone = _places(_keys(delta.avoided, item_rows, release.n_items), among)
    earlier_us = np.where(at >= 0, np.append(base.timestamp_us, 0)[at], np.nan)
    is_added_to = (at >= 0) & ~delta.is_anew
    value = delta.value.copy()
    value[is_added_to] = release.events.added(base.value[at[is_added_to]], delta.value[is_added_to])
    is_kept = np.ones(len(base), bool)
    is_kept[at[at >= 0]] = False
    is_kept[gone[gone >= 0]] = False
    # Sorted as a snapshot is (user, time, item), so that sums round as they would there; nothing of the base is later
    # than the delta, and both parts are in order, so that the merge costs O(rows).
    new = np.flatnonzero(is_known)
    new = new[np.lexsort((row[new], delta.timestamp_us[new], delta.taken.user[new]))]
    kept, user = base.take(is_kept), delta.taken.user[new].astype(np.int32)
    order = np.argsort(np.concatenate([kept.user, user]), kind="stable")
    histories = Ratings(
        user=np.concatenate([kept.user, user])[order],
        item=np.concatenate([kept.item, row[new].astype(np.int32)])[order],
        value=np.concatenate([kept.value, value[new]])[order],
        timestamp_us=np.concatenate([kept.timestamp_us, delta.timestamp_us[new]])[order],
        n_users=len(delta.user_ids),
        n_items=release.n_items,
    )
    return Merged(histories, item_rows, earlier_us, base.take(np.sort(gone[gone >= 0])))


def _keys(pairs: Pairs, item_rows: Int64[np.ndarray, " items"], n_items: int) -> Int64[np.ndarray, " n"]:
    """Pairs as numbers, by which the release's own are found; −1 for items that its model does not have."""
    row = item_rows[pairs.item]
    return np.where((row >= 0) & (row < n_items), pairs.user * n_items + row, -1)


def fold_in_users(
    release: Release, delta: Delta, merged: Merged
) -> tuple[Bool[np.ndarray, " users"], Float32[np.ndarray, "found dim"]]:
    """Which of the delta's users get a new vector, and these vectors.

    Those who took something that the model has learned of, or turned from it; for all others the release's vector, or
    its popular list, says as much as before. The vector of one who turned from everything is 0: it says
    nothing.
    """
    row = merged.item_rows[delta.taken.item]
    touched = np.zeros(len(delta.user_ids), bool)
    touched[delta.taken.user[np.append(release.learned, False)[row]]] = True
    touched[merged.lost.user[release.learned[merged.lost.item]]] = True
    number = np.cumsum(touched, dtype=np.int32) - 1
    of_touched = merged.histories.take(touched[merged.histories.user])
    histories = Ratings(
        number[of_touched.user].astype(np.int32), of_touched.item, of_touched.value, of_touched.timestamp_us,
        int(touched.sum()), release.n_items,
    )  # fmt: skip
    vectors = release.model.fold_in(histories)
    has_taste = np.zeros(len(vectors), bool)
    has_taste[histories.user[release.learned[histories.item]]] = True
    return touched, np.where(has_taste[:, None], vectors, np.float32(0))


def _places(keys: Int64[np.ndarray, " n"], among: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " n"]:
    """Where each key stands; −1 where it does not. Keys of −1 are never found."""
    if not len(among):
        return np.full(len(keys), -1, np.int64)
    order = np.argsort(among, kind="stable")
    at = np.minimum(np.searchsorted(among, keys, sorter=order), len(among) - 1)
    return np.where(among[order[at]] == keys, order[at], -1)
