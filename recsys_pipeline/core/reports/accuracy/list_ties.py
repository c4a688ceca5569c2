"""What equal scores leave open in the lists of all users: who is shown what, how many places are tied, who gets none.

Counted batch by batch, while scores are there. Where nothing is tied, it costs a look at the lists alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64

from recsys_pipeline.core.reports.accuracy.ranking_kernels import Grouped, Places, compiled, count_equal


class Competition(NamedTuple):
    """What one batch of users chooses from."""

    scores: Float32[np.ndarray, "users columns"]
    """−inf where a column holds no candidate."""
    seen: Grouped
    """Columns that are no candidates."""
    relevant: Grouped
    """Columns of the relevant items."""
    ranks: Int32[np.ndarray, " columns"]
    """Which of equal scores comes first in a list that is shown."""
    items: Int32[np.ndarray, "rows columns"]
    """The item of each column: one row for all users, or one for each."""
    n_candidates: Int64[np.ndarray, " users"]

    def items_of(self, columns: Int32[np.ndarray, "users places"]) -> Int32[np.ndarray, "users places"]:
        """The items of listed columns; −1 stays −1."""
        found = np.take_along_axis(self.items, np.maximum(columns, 0), axis=1)
        return np.where(columns >= 0, found, np.int32(-1))


class TieTally:
    """Adds up, over batches of users, what `RankingResult` says of equal scores and of the catalogue."""

    def __init__(self, ks: Sequence[int], n_items: int) -> None:
        self.ks, self.n_users, self.n_silent = tuple(ks), 0, 0
        self._tied_shares: list[np.ndarray] = []
        self._unshown = np.ones((len(self.ks), n_items))
        """The chance that no user so far is shown the item in the first k places."""

    def coverage(self) -> Float64[np.ndarray, " ks"]:
        """The mean share of the catalogue that some user is shown, each user's ties in an order of their own."""
        n_items = self._unshown.shape[1]
        if not self.n_users or not n_items:
            return np.full(len(self.ks), np.nan)
        return (1 - self._unshown).sum(axis=1) / n_items

    def tied_places(self) -> Float64[np.ndarray, " ks"]:
        """The share of a user's first k places whose score another candidate has too, mean over users."""
        return np.concatenate(self._tied_shares).mean(axis=0) if self.n_users else np.full(len(self.ks), np.nan)

    def add(self, among: Competition, places: Places, users: Int[np.ndarray, " some"]) -> None:
        """Count some users of a batch, whose lists should be a place longer than the longest k, where one is left."""
        if not len(users):
            return
        top, scores = places.top[users], places.top_scores[users]
        filled = top >= 0
        as_next = (scores[:, :-1] == scores[:, 1:]) & filled[:, 1:]
        none = np.zeros((len(users), 1), bool)
        tied = np.concatenate([as_next, none], axis=1) | np.concatenate([none, as_next], axis=1)
        self.n_users += len(users)
        self.n_silent += int(self._is_silent(among, users, scores, filled).sum())
        shares = [tied[:, :k].sum(axis=1) / np.maximum(filled[:, :k].sum(axis=1), 1) for k in self.ks]
        self._tied_shares.append(np.stack(shares, axis=1))
        items = among.items_of(places.top)[users]
        for at, k in enumerate(self.ks):
            is_open = as_next[:, k - 1] if k <= as_next.shape[1] else np.zeros(len(users), bool)
            shown = filled[:, :k] & ~(is_open[:, None] & (scores[:, :k] == scores[:, [min(k, scores.shape[1]) - 1]]))
            self._unshown[at, items[:, :k][shown]] = 0.0
            if is_open.any():
                self._spread(at, among, users[is_open], scores[is_open, k - 1], k - shown[is_open].sum(axis=1))

    def _spread(
        self,
        at: int,
        among: Competition,
        users: Int[np.ndarray, " some"],
        cuts: Float32[np.ndarray, " some"],
        n_free: Int[np.ndarray, " some"],
    ) -> None:
        """Share the last `n_free` places of each list among all candidates that have the score of the cut."""
        sizes = count_equal(among.scores, *among.seen, users, cuts)
        _multiply_tied(among.scores, *among.seen, among.items, users, cuts, 1 - n_free / sizes, self._unshown[at])

    def _is_silent(
        self, among: Competition, users: np.ndarray, scores: np.ndarray, filled: np.ndarray
    ) -> Bool[np.ndarray, " some"]:
        n_candidates = among.n_candidates[users]
        silent = (n_candidates > 1) & ((scores == scores[:, :1]) | ~filled).all(axis=1)
        longer = np.flatnonzero(silent & (n_candidates > scores.shape[1]))
        equal = count_equal(among.scores, *among.seen, users[longer], scores[longer, 0])
        silent[longer] = equal == n_candidates[longer]
        return silent


@compiled
@no_type_check
def _multiply_tied(scores, starts, seen_items, items, users, cuts, missed, unshown):
    """Multiply the chance of each item not to be shown, for each user to whose cut it is tied. In the order of users,
    whatever the number of threads."""
    is_seen = np.zeros(scores.shape[1], np.bool_)
    for at in range(users.shape[0]):
        user = users[at]
        row, seen = scores[user], seen_items[starts[user] : starts[user + 1]]
        own = items[user] if items.shape[0] > 1 else items[0]
        for column in seen:
            is_seen[column] = True
        for column in range(row.shape[0]):
            if row[column] == cuts[at] and not is_seen[column]:
                unshown[own[column]] *= missed[at]
        for column in seen:
            is_seen[column] = False
