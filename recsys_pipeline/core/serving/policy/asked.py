"""A request with all that is known of its user: what the parts of a policy look at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.hashing import id_hashes, mix_columns
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.offer import KnownUsers, Offer
from recsys_pipeline.core.serving.policy.request import Predicate, Request

NOWHERE = np.empty(0, np.int64)
FRACTION = 2.0**-53
"""The step of a uniform draw: a float64 holds 53 bits."""


@dataclass(frozen=True)
class Asked:
    """One request over what is on offer. Nothing in it depends on a clock or on another request."""

    offer: Offer
    request: Request
    seed: int

    @cached_property
    def user(self) -> KnownUsers:
        """What the release and the overlay know of the user."""
        return KnownUsers.of(self.offer.release, self.offer.overlay, [self.request.user_id])

    @cached_property
    def told(self) -> Int64[np.ndarray, " told"]:
        """Rows of the items that the request itself says the user took, the latest last; unknown ids are left out."""
        rows = self.offer.rows(list(dict.fromkeys(reversed(self.request.history)))[::-1])
        return rows[rows >= 0]

    @cached_property
    def vector(self) -> Float32[np.ndarray, " dim"] | None:
        """Of the user's taste; None where nothing says anything of it."""
        if len(self.told):
            return self._folded_in
        return self.user.vectors[0] if self.user.has_vector[0] else None

    @property
    def why(self) -> str:
        """Whose vector it is: of the request's own history, the overlay, the release, or nobody."""
        if self.vector is None:
            return "popular"
        return "told" if len(self.told) else self.user.why[0]

    @cached_property
    def known(self) -> Ratings:
        """What the release knows the user for; the items are rows of the offer."""
        return self.offer.release.history(self.user.release_rows)

    @cached_property
    def taken(self) -> Int64[np.ndarray, " taken"]:
        """Rows of all that the user is known to have taken, the latest last."""
        return np.concatenate([self.known.item.astype(np.int64), self.told])

    @cached_property
    def avoided(self) -> Int64[np.ndarray, " avoided"]:
        """Rows that the user asked not to be shown before the release's end."""
        found = self.offer.release.avoided
        return NOWHERE if found is None else found.of_users(self.user.release_rows).item.astype(np.int64)

    @cached_property
    def allowed(self) -> Bool[np.ndarray, " rows"] | None:
        """Which of all items satisfy the request's predicates; None where it has none."""
        if not self.request.where:
            return None
        return np.logical_and.reduce([self._satisfy(predicate) for predicate in self.request.where])

    def _satisfy(self, predicate: Predicate) -> Bool[np.ndarray, " rows"]:
        columns, value = self.offer.columns, predicate.value
        if isinstance(value, tuple):
            has = columns.in_categories(value)
            return has if predicate.operator == "in" else ~has
        column = columns.price if predicate.column == "price" else columns.created_us
        return column >= value if predicate.operator == "at_least" else column <= value

    def seen_since(self, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of them the user took or turned from since the release's end."""
        overlay = self.offer.overlay
        if overlay is None or not self.request.user_id or not len(rows):
            return np.zeros(len(rows), bool)
        return overlay.seen_by(self.request.user_id, self.offer.item_keys[rows])

    def draws(self, what: str, n: int) -> Float64[np.ndarray, " n"]:
        """n uniform draws in [0, 1) that depend on the policy's seed, the request's id and what they are for alone."""
        keys = np.repeat(id_hashes([f"{what}\0{self.request.request_id}"]), n)
        return (mix_columns(self.seed, keys, np.arange(n)) >> np.uint64(11)) * FRACTION

    @cached_property
    def _folded_in(self) -> Float32[np.ndarray, " dim"] | None:
        """The vector of the user with what the request tells; None where the model has learned of nothing of it."""
        release, known = self.offer.release, self.known
        told = self.told[self.told < release.n_items].astype(np.int32)
        fresh = told[~np.isin(told, known.item)]
        items = np.concatenate([known.item, fresh])
        if not release.learned[items].any():
            return None
        value = np.concatenate([known.value, np.full(len(fresh), release.histories.usual_value, np.float32)])
        at_us = np.concatenate([known.timestamp_us, np.full(len(fresh), release.end_us - 1)])
        histories = Ratings(np.zeros(len(items), np.int32), items, value, at_us, 1, release.n_items)
        return release.model.fold_in(histories)[0]
