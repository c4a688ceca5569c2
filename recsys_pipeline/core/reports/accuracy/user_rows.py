"""Train, test and negative rows grouped by user, as ranking needs them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking_kernels import Grouped


@dataclass(frozen=True)
class UserRows:
    """Rows grouped by user (compressed sparse rows): those of user u are `starts[u]` to `starts[u + 1]`."""

    starts: Int64[np.ndarray, " users_and_end"]
    items: Int32[np.ndarray, " rows"]
    values: Float32[np.ndarray, " rows"]
    n_items: int

    @classmethod
    def of(cls, ratings: Ratings, min_value: float | None = None) -> "UserRows":
        """Distinct pairs by user and item, each with its highest value; values below `min_value` are left out."""
        keep = np.arange(len(ratings)) if min_value is None else np.flatnonzero(ratings.value >= min_value)
        pairs = ratings.user[keep].astype(np.int64) * ratings.n_items + ratings.item[keep]
        order = np.lexsort((-ratings.value[keep], pairs))
        pairs, first = np.unique(pairs[order], return_index=True)
        return cls._of_pairs(pairs, ratings.value[keep][order][first], ratings.n_users, ratings.n_items)

    @classmethod
    def with_repeats(cls, ratings: Ratings) -> "UserRows":
        """All rows by user, repeated pairs included."""
        order = np.argsort(ratings.user, kind="stable")
        starts = starts_of(ratings.user, ratings.n_users)
        return cls(starts, ratings.item[order], ratings.value[order], ratings.n_items)

    @classmethod
    def _of_pairs(cls, pairs: np.ndarray, values: np.ndarray, n_users: int, n_items: int) -> "UserRows":
        user, item = np.divmod(pairs, max(n_items, 1))
        return cls(starts_of(user, n_users), item.astype(np.int32), values, n_items)

    @property
    def counts(self) -> Int64[np.ndarray, " users"]:
        """Rows of each user."""
        return np.diff(self.starts)

    @property
    def pairs(self) -> Int64[np.ndarray, " rows"]:
        """One number per (user, item), ascending."""
        return np.repeat(np.arange(len(self.counts)), self.counts) * self.n_items + self.items

    def without(self, others: "UserRows") -> tuple["UserRows", int]:
        """The pairs that are not among `others`, and how many that took away."""
        left = ~np.isin(self.pairs, others.pairs, assume_unique=True)
        rest = self._of_pairs(self.pairs[left], self.values[left], len(self.counts), self.n_items)
        return rest, int((~left).sum())

    def of_users(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(position of the user in `users`, row) of every row of these users."""
        counts = self.counts[users]
        at = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        return at, np.repeat(self.starts[users], counts) + within

    def grouped(self, users: np.ndarray) -> Grouped:
        """The items of these users alone."""
        at, rows = self.of_users(users)
        return Grouped(starts_of(at, len(users)), self.items[rows])


def starts_of(user: np.ndarray, n_users: int) -> Int64[np.ndarray, " users_and_end"]:
    """Where the rows of each user begin, once they are in the order of users."""
    return np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users))]).astype(np.int64)
