"""Lists for users: retrieval by the index, filters, exact scores, order.

`recommend` is the fast way, `recommend_exactly` its readable twin, which looks at every item. With an exact index both
give the same lists; with an approximate one the fast way may miss an item, which is what the index's recall says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt64

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.kernels import top_k, top_k_refined
from recsys_pipeline.core.neighbors.products import products_of_rows
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

    Users of whose taste neither the release nor the overlay knows anything get what is popular. Equal scores are
    ordered by the hash of the item's id, so that no item stands first for being old. Raises `SettingError` for k < 1.
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
            taste = user.vectors[0].astype(np.float64) @ offer.vectors(np.array([row]))[0]
            score = np.float32(taste) if has_vector else offer.popularity[row]
            found.append((-float(score), int(offer.tie_key[row]), row))
        for at, (negative, _, row) in enumerate(sorted(found)[:k]):
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

    @cached_property
    def tie_key(self) -> UInt64[np.ndarray, " rows"]:
        """What orders items of equal scores, by row."""
        if self.overlay is None:
            return self.release.items.hashes
        return np.concatenate([self.release.items.hashes, text_hashes(self.overlay.item_ids)])

    def products(self, users: np.ndarray, rows: Int64[np.ndarray, "users some"]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of some rows (−inf for −1) for users' vectors, and the error of a float32 product, as
        `products_of_rows` has them."""
        n = self.release.n_items_all
        products, error = products_of_rows(users, self.release.item_vectors, np.where(rows < n, rows, -1))
        if self.overlay is not None and len(self.overlay.item_ids):
            of_new, their_error = products_of_rows(users, self.overlay.item_vectors, np.where(rows < n, -1, rows - n))
            products, error = np.maximum(products, of_new), np.maximum(error, their_error)
        return products, error

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
        return _best_of_all(offer, users, k)
    found, _ = offer.release.index.candidates(users.vectors, depth)
    retrieved = np.where(found >= 0, offer.release.on_sale_rows[np.maximum(found, 0)], -1)
    candidates = np.concatenate([retrieved, np.tile(offer.beside, (len(users.ids), 1))], axis=1)
    # Scored anew: an index may answer with something else than the inner product.
    scores, error = offer.products(users.vectors, candidates)
    rows, best = _best(offer, users, candidates, scores, k)
    # What is as good as the last of a list may be among what the index left out: of equals it keeps any.
    lowest = np.where(found >= 0, scores[:, : found.shape[1]], np.float32(np.inf)).min(axis=1)
    short = np.flatnonzero((rows < 0).any(axis=1) | (best[:, -1] <= lowest + error))
    if len(short):
        rows[short], best[short] = _best_of_all(offer, users.take(short), k)
    return rows, best


def _best_of_all(offer: _Offer, users: _Known, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The lists that everything on sale gives; holds no vector once per user."""
    rough = users.vectors @ offer.vectors(offer.on_sale).T
    return _best(offer, users, offer.on_sale, rough, k, lambda at, rows: offer.products(users.vectors[at], rows))


def _popular(offer: _Offer, users: _Known, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What is popular, less what each user is not to be shown; where that leaves too few, the less popular too."""
    first, _ = top_k(offer.popularity[offer.on_sale][None], k + SLACK, offer.tie_key[offer.on_sale])
    rows, scores = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    for some in (offer.on_sale[first[first >= 0]], offer.on_sale):
        of_some = np.broadcast_to(offer.popularity[some], (len(users.ids), len(some)))
        rows, scores = _best(offer, users, some, of_some, k)
        if (rows >= 0).all():
            break
    return rows, scores


Exact = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`exact(places of users, rows [users some])`: true scores of rows (−inf for −1) and the error of the rough ones."""


def _best(
    offer: _Offer,
    users: _Known,
    rows: Int64[np.ndarray, " candidates"] | Int64[np.ndarray, "users candidates"],
    scores: Float32[np.ndarray, "users candidates"],
    k: int,
    exact: Exact | None = None,
) -> tuple[Int64[np.ndarray, "users k"], Float32[np.ndarray, "users k"]]:
    """The k best candidates that are on sale and not withheld from the user; a row of −1 is no candidate.

    Candidates are the same for all users or each user's own; `scores` are rough where `exact` gives true ones.
    """
    each = np.arange(len(users.ids))
    withheld = np.zeros((len(users.ids), len(offer.is_on_sale)), bool)
    withheld[offer.release.withheld(users.release_rows)] = True
    open_ = (rows >= 0) & offer.is_on_sale[rows] & ~withheld[each[:, None], rows]

    def refine(at: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = rows[np.maximum(columns, 0)] if rows.ndim == 1 else rows[at[:, None], np.maximum(columns, 0)]
        own = np.where(columns < 0, -1, own)
        if exact is not None:
            found, error = exact(at, own)
        else:
            found = np.where(own < 0, np.float32(-np.inf), scores[at[:, None], columns])
            error = np.zeros(len(at), np.float32)
        return np.where(_filtered(offer, users, at, own), np.float32(-np.inf), found), error

    rough = np.where(open_, scores, np.float32(-np.inf))
    columns, best = top_k_refined(rough, k, refine, offer.tie_key[rows], SLACK)
    chosen = rows[columns] if rows.ndim == 1 else rows[each[:, None], columns]
    return np.where(columns < 0, -1, chosen), best


def _filtered(
    offer: _Offer, users: _Known, at: Int64[np.ndarray, " some"], rows: Int64[np.ndarray, "some depth"]
) -> Bool[np.ndarray, "some depth"]:
    """Which of the items the overlay filters; `at` are places of users."""
    found = np.zeros(rows.shape, bool)
    if offer.overlay is not None:
        user, place = np.nonzero(rows >= 0)
        found[user, place] = offer.seen_since([users.ids[one] for one in at[user]], rows[user, place])
    return found
