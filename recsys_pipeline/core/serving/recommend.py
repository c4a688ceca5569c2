"""Lists for users: retrieval by the index, filters, exact scores, order.

`recommend` is the fast way, `recommend_exactly` its readable twin, which looks at every item. With an exact index both
give the same lists; with an approximate one the fast way may miss an item, which is what the index's recall says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from recsys_pipeline.core.kernels import top_k, top_k_refined
from recsys_pipeline.core.serving.offer import KnownUsers, Offer, Why
from recsys_pipeline.core.serving.overlay_protocol import Overlay
from recsys_pipeline.core.serving.release import Release

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
    offer, ids = Offer.of(release, overlay, k), list(user_ids)
    rows, scores = np.full((len(ids), k), -1, np.int64), np.full((len(ids), k), -np.inf, np.float32)
    why: list[Why] = []
    size = max(1, min(BATCH_USERS, MASK // len(offer.is_on_sale)))
    for start in range(0, len(ids), size):
        users = KnownUsers.of(release, overlay, ids[start : start + size])
        why += users.why
        for places, lists in ((users.has_vector, _personal), (~users.has_vector, _popular)):
            at = np.flatnonzero(places)
            if len(at):
                rows[start + at], scores[start + at] = lists(offer, users.take(at), k)
    return Recommendations(ids, offer.ids(rows), scores, why)


def recommend_exactly(release: Release, overlay: Overlay | None, user_ids: Sequence[str], k: int) -> Recommendations:
    """The readable twin of `recommend`: for one user after another, score all that is on sale, sort, cut."""
    offer, known = Offer.of(release, overlay, k), KnownUsers.of(release, overlay, user_ids)
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


def _personal(offer: Offer, users: KnownUsers, k: int) -> tuple[np.ndarray, np.ndarray]:
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


def _best_of_all(offer: Offer, users: KnownUsers, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The lists that everything on sale gives; holds no vector once per user."""
    rough = users.vectors @ offer.vectors(offer.on_sale).T
    return _best(offer, users, offer.on_sale, rough, k, lambda at, rows: offer.products(users.vectors[at], rows))


def _popular(offer: Offer, users: KnownUsers, k: int) -> tuple[np.ndarray, np.ndarray]:
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
    offer: Offer,
    users: KnownUsers,
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
    offer: Offer, users: KnownUsers, at: Int64[np.ndarray, " some"], rows: Int64[np.ndarray, "some depth"]
) -> Bool[np.ndarray, "some depth"]:
    """Which of the items the overlay filters; `at` are places of users."""
    found = np.zeros(rows.shape, bool)
    if offer.overlay is not None:
        user, place = np.nonzero(rows >= 0)
        found[user, place] = offer.seen_since([users.ids[one] for one in at[user]], rows[user, place])
    return found
