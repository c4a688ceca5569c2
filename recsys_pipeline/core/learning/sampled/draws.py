"""What a pass over sampled pairs draws: the order of the rows, negatives, further positives, histories.

Everything follows from (seed, epoch, place), through a counter-based generator (the finaliser of SplitMix64: Steele,
Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), so that draws do not depend on how the
rows are cut into batches, and both trainers see the same ones. Popularity is drawn by Walker's alias method, in two
memory reads whatever the number of items (Vose 1991).
"""

from dataclasses import dataclass
from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from recsys_pipeline.core.ratings import Ratings

compiled = numba.njit(nogil=True, cache=True)
ATTEMPTS = 32
"""Draws before a negative is looked for from the last draw upwards: only users with nearly all items get there."""

ORDER, START, NEGATIVES, POSITIVES, HISTORY = range(5)
"""Purposes, whose streams never meet."""


class UserItems(NamedTuple):
    """The items of each user: those of user u are `items[starts[u]:starts[u + 1]]`, ascending and distinct."""

    starts: Int64[np.ndarray, " users_and_end"]
    items: Int32[np.ndarray, " pairs"]


class Alias(NamedTuple):
    """A table to draw items from: place j gives j with chance `keep[j]`, else `other[j]`."""

    keep: Float64[np.ndarray, " items"]
    other: Int32[np.ndarray, " items"]


@dataclass(frozen=True)
class NegativeSampler:
    """Where negatives come from; `chance` is the probability of each item in one draw, positives not yet excluded."""

    alias: Alias
    chance: Float32[np.ndarray, " items"]
    user_items: UserItems
    exclude_positives: bool

    @classmethod
    def of(
        cls, item_count: Float32[np.ndarray, " items"], owned: UserItems, power: float, exclude_positives: bool
    ) -> "NegativeSampler":
        """Items in proportion to (rows)^power; an item without rows counts as one, so that it is pushed down too."""
        weight = np.maximum(item_count, 1).astype(np.float64) ** power
        chance = weight / weight.sum()
        return cls(alias_table(chance), chance.astype(np.float32), owned, exclude_positives)

    def draw(
        self, user: Int32[np.ndarray, " rows"], place: Int64[np.ndarray, " rows"], n_negatives: int, key: int
    ) -> Int32[np.ndarray, "rows negatives"]:
        """Negatives for rows at these places of the stream; −1 where a user has every item."""
        drawn = np.empty((len(user), n_negatives), np.int32)
        _draw_negatives(user, place, np.uint64(key), *self.alias, *self.user_items, self.exclude_positives, drawn)
        return drawn


def user_items(ratings: Ratings) -> UserItems:
    """The distinct items of each user, sorted."""
    pairs = np.unique(ratings.user.astype(np.int64) * ratings.n_items + ratings.item)
    user, item = np.divmod(pairs, max(ratings.n_items, 1))
    count = np.bincount(user, minlength=ratings.n_users)
    return UserItems(np.concatenate([[0], np.cumsum(count)]).astype(np.int64), item.astype(np.int32))


def alias_table(chance: Float64[np.ndarray, " items"]) -> Alias:
    """Walker's table by Vose's construction: each place is filled up by one other item."""
    n = len(chance)
    keep, other = chance * n, np.arange(n, dtype=np.int32)
    _fill_up(keep, other)
    return Alias(np.minimum(keep, 1.0), other)


def stream_key(seed: int, purpose: int, epoch: int) -> int:
    """The 64-bit key of one stream."""
    return int(np.random.SeedSequence([seed, purpose, epoch]).generate_state(1, np.uint64)[0])


def row_order(n: int, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
    """The order of the rows in one epoch."""
    return np.random.default_rng([seed, ORDER, epoch]).permutation(n)


def order_within_users(ratings: Ratings, key: int) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Rows by user, each user's in an order that depends on no other user, and each row's place among its user's."""
    order = np.lexsort((_hashes(ratings.item, np.uint64(key)), ratings.user))
    count = np.bincount(ratings.user, minlength=ratings.n_users)
    return order, np.arange(len(ratings)) - np.repeat(np.cumsum(count) - count, count)


def draw_items(
    users: Int32[np.ndarray, " rows"], place: Int64[np.ndarray, " rows"], width: int, owned: UserItems, key: int
) -> Int32[np.ndarray, "rows width"]:
    """Items of each row's user, drawn with replacement; −1 for a user without any."""
    drawn = np.empty((len(users), width), np.int32)
    _draw_owned(users, place, np.uint64(key), *owned, drawn)
    return drawn


def in_batch_candidates(
    user: Int32[np.ndarray, " rows"],
    item: Int32[np.ndarray, " rows"],
    owned: UserItems,
    n_items: int,
    batch_size: int,
    exclude_positives: bool,
) -> Bool[np.ndarray, "batches batch_size batch_size"]:
    """Whether the item of column j may be a negative of row i, per batch: never the row's own item; −1 pads rows."""
    allowed = np.ones((len(user) // batch_size, batch_size, batch_size), np.bool_)
    _forbid(user.reshape(-1, batch_size), item.reshape(-1, batch_size), *owned, exclude_positives, n_items, allowed)
    return allowed


@compiled
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def mixed(key, counter):
    """64 random bits of a stream at a counter."""
    z = key + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
@no_type_check
def _hashes(items, key):
    found = np.empty(len(items), np.uint64)
    for row in range(len(items)):
        found[row] = mixed(key, items[row])
    return found


@compiled
@no_type_check
def _below(bits, n):
    """A number below n from the upper 32 bits; the bias of at most n / 2³² is not corrected."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@compiled
@no_type_check
def _has(items, first, last, item):
    """Binary search without a branch to mispredict: it takes most of the time of a draw."""
    n = last - first
    if n == 0:
        return False
    while n > 1:
        half = n >> 1
        first += half if items[first + half - 1] < item else 0
        n -= half
    return items[first] == item


@compiled
@no_type_check
def _draw_negatives(user, place, key, keep, other, starts, items, exclude, drawn):
    n_items, width = len(keep), drawn.shape[1]
    for row in range(len(user)):
        begin, end = starts[user[row]], starts[user[row] + 1]
        if exclude and end - begin >= n_items:
            drawn[row] = -1
            continue
        for column in range(width):
            counter = (place[row] * width + column) * ATTEMPTS
            item = 0
            for attempt in range(ATTEMPTS):
                bits = mixed(key, counter + attempt)
                item = _below(bits, n_items)
                if np.float64(bits & np.uint64(0xFFFFFFFF)) * 2.0**-32 >= keep[item]:
                    item = other[item]
                if not exclude or not _has(items, begin, end, item):
                    break
            while exclude and _has(items, begin, end, item):
                item = (item + 1) % n_items
            drawn[row, column] = item


@compiled
@no_type_check
def _draw_owned(user, place, key, starts, items, drawn):
    width = drawn.shape[1]
    for row in range(len(user)):
        begin = starts[user[row]]
        n = starts[user[row] + 1] - begin
        for column in range(width):
            counter = place[row] * width + column
            drawn[row, column] = items[begin + _below(mixed(key, counter), n)] if n else -1


@compiled
@no_type_check
def _fill_up(keep, other):
    n = len(keep)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    n_small, n_large = 0, 0
    for item in range(n):
        if keep[item] < 1.0:
            small[n_small] = item
            n_small += 1
        else:
            large[n_large] = item
            n_large += 1
    while n_small and n_large:
        n_small -= 1
        poor, rich = small[n_small], large[n_large - 1]
        other[poor] = rich
        keep[rich] -= 1.0 - keep[poor]
        if keep[rich] < 1.0:
            n_large -= 1
            small[n_small] = rich
            n_small += 1
    for left in range(n_small):  # only rounding leaves any
        keep[small[left]] = 1.0
    for left in range(n_large):
        keep[large[left]] = 1.0


@compiled
@no_type_check
def _forbid(user, item, starts, items, exclude, n_items, allowed):
    """Columns of a batch are chained by item, so that a row costs as many steps as its user has items."""
    size = user.shape[1]
    head, following = np.full(n_items, -1, np.int32), np.empty(size, np.int32)
    for batch in range(user.shape[0]):
        for column in range(size):
            if user[batch, column] < 0:
                allowed[batch, :, column] = False
                continue
            following[column] = head[item[batch, column]]
            head[item[batch, column]] = column
        for row in range(size):
            if user[batch, row] < 0:
                continue
            own = item[batch, row]
            column = head[own]
            while column >= 0:
                allowed[batch, row, column] = False
                column = following[column]
            if exclude:
                for at in range(starts[user[batch, row]], starts[user[batch, row] + 1]):
                    column = head[items[at]]
                    while column >= 0:
                        allowed[batch, row, column] = False
                        column = following[column]
        for column in range(size):
            if user[batch, column] >= 0:
                head[item[batch, column]] = -1
