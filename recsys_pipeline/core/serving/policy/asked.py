"""A request with all that is known of its user: what the parts of a policy look at."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from recsys_pipeline.core.hashing import id_hashes, mix_columns
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.offer import Offer, Why
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
    def user_row(self) -> int:
        """Of the release; −1 for who is not known there."""
        return int(self.offer.release.user_rows([self.request.user_id])[0]) if self.request.user_id else -1

    @cached_property
    def told(self) -> Int64[np.ndarray, " told"]:
        """Rows of the items that the request itself says the user took, the latest last; unknown ids are left out."""
        rows = self.offer.rows(list(dict.fromkeys(reversed(self.request.history)))[::-1])
        return rows[rows >= 0]

    @cached_property
    def _taste(self) -> tuple[Float32[np.ndarray, " dim"] | None, Why | Literal["told"]]:
        """The user's vector, None where nothing says anything of it, and whose it is."""
        release, overlay = self.offer.release, self.offer.overlay
        if len(self.told):
            vector = self._folded_in
            return vector, "popular" if vector is None else "told"
        fresh = -1 if overlay is None else int(overlay.user_rows([self.request.user_id])[0])
        if overlay is not None and fresh >= 0:
            # The overlay gives a vector of 0 to who has turned from everything that they took.
            vector = overlay.user_vectors[fresh]
            return (vector, "overlay") if vector.any() else (None, "popular")
        if self.user_row < 0 or not release.learned[self.known[0]].any():
            return None, "popular"
        return release.user_vectors[self.user_row], "release"

    @property
    def vector(self) -> Float32[np.ndarray, " dim"] | None:
        """Of the user's taste; None where nothing says anything of it."""
        return self._taste[0]

    @property
    def why(self) -> Why | Literal["told"]:
        """Whose vector it is: of the request's own history, the overlay, the release, or nobody."""
        return self._taste[1]

    @cached_property
    def known(self) -> tuple[Int32[np.ndarray, " n"], Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """What the release knows the user for: rows, values, and when, by time."""
        return self.offer.release.histories.of_user(self.user_row)

    @cached_property
    def taken(self) -> Int64[np.ndarray, " taken"]:
        """Rows of all that the user is known to have taken, the latest last."""
        return np.concatenate([self.known[0].astype(np.int64), self.told])

    @cached_property
    def around(self) -> Int64[np.ndarray, " around"]:
        """The row of the item that the request is about; empty where there is none, or it is not known."""
        if not self.request.around:
            return NOWHERE
        rows = self.offer.rows([self.request.around])
        return rows[rows >= 0]

    @cached_property
    def is_taken(self) -> Bool[np.ndarray, " rows"]:
        """Of all items: whether the user took it, or it is what the request is about."""
        found = np.zeros(len(self.offer.is_on_sale), bool)
        found[self.taken] = True
        found[self.around] = True
        return found

    @cached_property
    def is_avoided(self) -> Bool[np.ndarray, " rows"]:
        """Of all items: whether the user asked not to be shown it, before the release's end."""
        found = np.zeros(len(self.offer.is_on_sale), bool)
        avoided = self.offer.release.avoided
        if avoided is not None:
            found[avoided.of_user(self.user_row)[0]] = True
        return found

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
        release, (item, value, at_us) = self.offer.release, self.known
        told = self.told[self.told < release.n_items].astype(np.int32)
        fresh = told[~np.isin(told, item)]
        items = np.concatenate([item, fresh])
        if not release.learned[items].any():
            return None
        value = np.concatenate([value, np.full(len(fresh), release.histories.usual_value, np.float32)])
        at_us = np.concatenate([at_us, np.full(len(fresh), release.end_us - 1)])
        histories = Ratings(np.zeros(len(items), np.int32), items, value, at_us, 1, release.n_items)
        return release.model.fold_in(histories)[0]
