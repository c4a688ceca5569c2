"""Lists for users: retrieval by the index, filters, exact scores, order.

`recommend` is the fast way, `recommend_exactly` its readable twin, which looks at every item. With an exact index both
give the same lists; with an approximate one the fast way may miss an item, which is what the index's recall says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt64

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.overlay_protocol import Overlay
from recsys_pipeline.core.serving.release import Release

Why = Literal["release", "overlay", "popular"]
BATCH_USERS = 256
MASK = 20_000_000
"""Users × items looked at together, at most."""
SLACK = 32
"""Items retrieved beyond the list and what the release knows the user has: for what else is filtered."""
DEEP = 1_000
"""Where more would have to be retrieved, every item on sale is scored instead."""


@dataclass(frozen=True)
class Recommendations:
    """Lists, best first; places without an item hold "" and −inf."""

    user_ids: list[str]
    item_ids: Shaped[np.ndarray, "users k"]
    scores: Float32[np.ndarray, "users k"]
    """Inner products; for `popular` lists, decayed counts."""
    why: list[Why]
    """Whose vector it was: the release's, the overlay's, or nobody's, where the list is of what is popular."""

    def of(self, user: int) -> list[str]:
        """The list of one user, by place in `user_ids`."""
        return [item for item in self.item_ids[user] if item]


def recommend(release: Release, overlay: Overlay | None, user_ids: Sequence[str], k: int) -> Recommendations:
    """The k best items on sale that each user has not taken and does not avoid.

    Users of whose taste neither the release nor the overlay knows anything get what is popular. Of equal scores the
    release's lower row comes first, then the overlay's items. Raises `SettingError` for k < 1.
    """
    offer, ids = _Offer.of(release, overlay, k), list(user_ids)
    rows, scores = np.full((len(ids), k), -1, np.int64), np.full((len(ids), k), -np.inf, np.float32)
    why: list[Why] = []
    size = max(1, min(BATCH_USERS, MASK // len(offer.is_on_sale)))
    for start in range(0, len(ids), size):
        users = _Known.of(release, overlay, ids[start : start + size])
        why += users.why
        for places, lists in ((users.has_vector, _personal), (~users.has_vector, _popular)):
            at = np.flatnonzero(places)
            if len(at):
                rows[start + at], scores[start + at] = lists(offer, users.take(at), k)
    return Recommendations(ids, offer.ids(rows), scores, why)


def recommend_exactly(release: Release, overlay: Overlay | None, user_ids: Sequence[str], k: int) -> Recommendations:
    """The readable twin of `recommend`: for one user after another, score all that is on sale, sort, cut."""
    offer, known = _Offer.of(release, overlay, k), _Known.of(release, overlay, user_ids)
    rows, scores = np.full((len(user_ids), k), -1, np.int64), np.full((len(user_ids), k), -np.inf, np.float32)
    for place in range(len(user_ids)):
        user, has_vector = known.take(np.array([place])), known.has_vector[place]
        withheld = set(release.withheld(user.release_rows)[1].tolist())
        found = []
        for row in offer.on_sale.tolist():
            if row in withheld or bool(offer.seen_since(user.ids, np.array([row]))[0]):
                continue
            score = user.vectors[0] @ offer.vectors(np.array([row]))[0] if has_vector else offer.popularity[row]
            found.append((-float(score), row))
        for at, (negative, row) in enumerate(sorted(found)[:k]):
            rows[place, at], scores[place, at] = row, -negative
    return Recommendations(list(user_ids), offer.ids(rows), scores, known.why)


@dataclass(frozen=True)
class _Known:
    """Users with what is known of them."""

    ids: list[str]
    release_rows: Int64[np.ndarray, " users"]
    vectors: Float32[np.ndarray, "users dim"]
    has_vector: Bool[np.ndarray, " users"]
    """Whether it says anything: of a user who took nothing that the model has learned of, no vector does."""
    why: list[Why]

    @classmethod
    def of(cls, release: Release, overlay: Overlay | None, user_ids: Sequence[str]) -> "_Known":
        ids = list(user_ids)
        rows = release.user_rows(ids)
        vectors = np.zeros((len(ids), release.dim), np.float32)
        vectors[rows >= 0] = release.user_vectors[rows[rows >= 0]]
        history, has_taste = release.history(rows), np.zeros(len(ids), bool)
        has_taste[history.user[release.learned[history.item]]] = True
        fresh = np.full(len(ids), -1, np.int64) if overlay is None else overlay.user_rows(ids)
        if overlay is not None and (fresh >= 0).any():
            vectors[fresh >= 0] = overlay.user_vectors[fresh[fresh >= 0]]
        # The overlay gives a vector of 0 to who has turned from everything that they took.
        has_vector = np.where(fresh >= 0, vectors.any(axis=1), has_taste)
        why: list[Why] = [
            "popular" if not known else "overlay" if new >= 0 else "release"
            for known, new in zip(has_vector, fresh, strict=True)
        ]
        return cls(ids, rows, vectors, has_vector, why)

    def take(self, places: np.ndarray) -> "_Known":
        return _Known(
            [self.ids[place] for place in places],
            self.release_rows[places],
            self.vectors[places],
            self.has_vector[places],
            [self.why[place] for place in places],
        )


@dataclass(frozen=True)
class _Offer:
    """What may be recommended now. Items of the overlay have the rows after the release's."""

    release: Release
    overlay: Overlay | None
    on_sale: Int64[np.ndarray, " on_sale"]
    """Rows of everything on sale, ascending."""
    is_on_sale: Bool[np.ndarray, " rows"]
    beside: Int64[np.ndarray, " beside"]
    """Rows on sale that the index does not have: the overlay's items, and those that came back."""

    @classmethod
    def of(cls, release: Release, overlay: Overlay | None, k: int) -> "_Offer":
        if k < 1:
            raise SettingError(f"k = {k}: ask for at least one item")
        if overlay is None:
            return cls(release, None, release.on_sale_rows, release.on_sale, np.empty(0, np.int64))
        gone, back = release.item_rows(sorted(overlay.unavailable)), release.item_rows(sorted(overlay.available_again))
        new = np.arange(release.n_items_all, release.n_items_all + len(overlay.item_ids))
        on_sale = np.concatenate([release.on_sale, np.ones(len(new), bool)])
        on_sale[back[back >= 0]] = True
        on_sale[gone[gone >= 0]] = False
        back = np.unique(back[back >= 0])
        beside = np.concatenate([back[~release.on_sale[back] & on_sale[back]], new])
        return cls(release, overlay, np.flatnonzero(on_sale), on_sale, beside)

    @cached_property
    def popularity(self) -> Float32[np.ndarray, " rows"]:
        """Decayed counts now, by row."""
        if self.overlay is None:
            return self.release.popularity
        now = np.zeros(len(self.is_on_sale), np.float32)
        now[: self.release.n_items_all] = self.release.popularity * self.overlay.decay
        names, counts = list(self.overlay.popularity), list(self.overlay.popularity.values())
        rows = self.release.item_rows(names)
        place = {item: self.release.n_items_all + at for at, item in enumerate(self.overlay.item_ids)}
        rows = np.array([place.get(name, row) for name, row in zip(names, rows, strict=True)], np.int64)
        now[rows[rows >= 0]] = np.array(counts, np.float32)[rows >= 0]
        return now

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of rows, in any shape; −1 reads some vector."""
        n = self.release.n_items_all
        found = self.release.item_vectors[np.minimum(np.maximum(rows, 0), n - 1)]
        if self.overlay is not None and (rows >= n).any():
            found[rows >= n] = self.overlay.item_vectors[rows[rows >= n] - n]
        return found

    def ids(self, rows: Int64[np.ndarray, "users k"]) -> Shaped[np.ndarray, "users k"]:
        """Ids of rows; "" for −1."""
        found = np.full(rows.shape, "", object)
        n, known = self.release.n_items_all, (rows >= 0) & (rows < self.release.n_items_all)
        found[known] = self.release.items.ids(rows[known]).to_numpy()
        if self.overlay is not None:
            found[rows >= n] = [self.overlay.item_ids[row - n] for row in rows[rows >= n]]
        return found

    def seen_since(self, user_ids: Sequence[str], rows: Int64[np.ndarray, " pairs"]) -> Bool[np.ndarray, " pairs"]:
        """Whether the overlay filters each pair."""
        if self.overlay is None or not len(rows):
            return np.zeros(len(rows), bool)
        return self.overlay.seen(list(user_ids), self.ids(rows[:, None])[:, 0].tolist())


def _personal(offer: _Offer, users: _Known, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of users with a vector; where the index and the filters leave too few, everything on sale is looked at."""
    withheld, _ = offer.release.withheld(users.release_rows)
    depth = k + int(np.bincount(withheld, minlength=1).max()) + SLACK
    if depth >= min(len(offer.release.on_sale_rows), DEEP):
        return _best(offer, users, *_score(offer, users, offer.on_sale), k)
    found, _ = offer.release.index.search_rows(users.vectors, depth)
    retrieved = np.where(found >= 0, offer.release.on_sale_rows[np.maximum(found, 0)], -1)
    # Scored anew: an index may answer with something else than the inner product.
    exact = np.einsum("ud,ucd->uc", users.vectors, offer.vectors(retrieved))
    beside, of_beside = _score(offer, users, offer.beside)
    candidates, exact = np.concatenate([retrieved, beside], axis=1), np.concatenate([exact, of_beside], axis=1)
    rows, scores = _best(offer, users, candidates, exact, k)
    short = np.flatnonzero((rows < 0).any(axis=1))
    if len(short):
        some = users.take(short)
        rows[short], scores[short] = _best(offer, some, *_score(offer, some, offer.on_sale), k)
    return rows, scores


def _score(offer: _Offer, users: _Known, rows: Int64[np.ndarray, " some"]) -> tuple[np.ndarray, np.ndarray]:
    """The same rows for every user, and their scores; holds no vector once per user."""
    return np.broadcast_to(rows, (len(users.ids), len(rows))), users.vectors @ offer.vectors(rows).T


def _popular(offer: _Offer, users: _Known, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What is popular, less what each user is not to be shown; where that leaves too few, the less popular too."""
    order = offer.on_sale[np.lexsort((offer.on_sale, -offer.popularity[offer.on_sale]))]
    rows, scores = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    for first in (order[: k + SLACK], order):
        shape = (len(users.ids), len(first))
        of_first = np.broadcast_to(offer.popularity[first], shape)
        rows, scores = _best(offer, users, np.broadcast_to(first, shape), of_first, k)
        if (rows >= 0).all():
            break
    return rows, scores


def _best(
    offer: _Offer,
    users: _Known,
    rows: Int64[np.ndarray, "users candidates"],
    scores: Float32[np.ndarray, "users candidates"],
    k: int,
) -> tuple[Int64[np.ndarray, "users k"], Float32[np.ndarray, "users k"]]:
    """The k best candidates that are on sale and not withheld from the user; a row of −1 is no candidate."""
    withheld = np.zeros((len(users.ids), len(offer.is_on_sale)), bool)
    withheld[offer.release.withheld(users.release_rows)] = True
    user = np.arange(len(users.ids))[:, None]
    open_ = (rows >= 0) & offer.is_on_sale[np.maximum(rows, 0)] & ~withheld[user, np.maximum(rows, 0)]
    keys = np.where(open_, _order_keys(scores, rows), _NOTHING)
    n_candidates, depth = rows.shape[1], min(k + SLACK, rows.shape[1])
    while True:
        first = np.sort(np.partition(keys, depth - 1, axis=1)[:, :depth], axis=1) if depth else keys
        offered = first != _NOTHING
        left = offered & ~_filtered(offer, users, first, offered)
        if depth == n_candidates or ((left.sum(axis=1) >= k) | ~offered.all(axis=1)).all():
            break
        depth = min(4 * depth, n_candidates)
    chosen = np.argsort(~left, axis=1, kind="stable")[:, :k]
    is_item = np.take_along_axis(left, chosen, axis=1)
    best_rows, best_scores = _read_keys(np.take_along_axis(first, chosen, axis=1))
    pad = [(0, 0), (0, k - chosen.shape[1])]
    return (
        np.pad(np.where(is_item, best_rows, -1), pad, constant_values=-1),
        np.pad(np.where(is_item, best_scores, np.float32(-np.inf)), pad, constant_values=-np.inf),
    )


def _filtered(offer: _Offer, users: _Known, keys: np.ndarray, offered: np.ndarray) -> Bool[np.ndarray, "users depth"]:
    """Which of the offered items the overlay filters."""
    found = np.zeros(keys.shape, bool)
    at, place = np.nonzero(offered)
    if offer.overlay is not None:
        rows, _ = _read_keys(keys[at, place][None])
        found[at, place] = offer.seen_since([users.ids[user] for user in at], rows[0])
    return found


_NOTHING = np.uint64(2**64 - 1)
_SIGN = np.uint32(2**31)


def _order_keys(
    scores: Float32[np.ndarray, "users candidates"], rows: Int64[np.ndarray, "users candidates"]
) -> UInt64[np.ndarray, "users candidates"]:
    """Numbers that sort as (score descending, row ascending), so that a partial sort has one answer.

    IEEE 754 floats of one sign sort as their bits do; flipping the bits of negative ones, and the sign of others, makes
    all of them sort so.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # −0 becomes 0
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (~ascending).astype(np.uint64) << np.uint64(32) | rows.astype(np.uint32)


def _read_keys(keys: UInt64[np.ndarray, "users k"]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, scores) of keys."""
    ascending = ~(keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ascending & _SIGN, ascending & ~_SIGN, ~ascending)
    return (keys & np.uint64(2**32 - 1)).astype(np.int64), bits.astype(np.uint32).view(np.float32)
