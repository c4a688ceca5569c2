"""The inner loops of full ranking: the best items of each user, and where the items stand that the user then chose.

Two ways to one result. `rank_rows` is compiled for the CPU by numba: each user's scores are read once for the list
and once per relevant item, with no sort, no mask and no copy. `rank_rows_jax` is its readable twin and the way on an
accelerator: seen items are masked, `jax.lax.top_k` gives the list, and comparisons the places. A test holds them equal.

Equal scores are counted, never ordered, but in the list itself, which is shown: there the order is that of `ranks`.

On 512 × 40,981 scores and one thread, k = 20: 6 ms for the lists (73 ms by `jax.lax.top_k` on two threads), 17 ms for
the places of 3,584 relevant items.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, no_type_check

import jax
import jax.numpy as jnp
import numba
import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.kernels import compiled, heapify, is_worse, sift_down, sort_heap
from recsys_pipeline.core.learning.row_threads import CPU_THREADS, run_over_ranges

counting = numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
"""Counts as float32 that may be added in any order: twice as fast as integers, and exact in blocks this short."""
COUNT_BLOCK = 1 << 20
SKIP_BLOCK = 64


class Places(NamedTuple):
    """What one batch of users gave."""

    top: Int32[np.ndarray, "users places"]
    """Items, best first; equal scores by their rank among ties; −1 where a user has no further candidate."""
    top_scores: Float32[np.ndarray, "users places"]
    """Scores of `top`; −inf where it is −1."""
    above: Int32[np.ndarray, " rows"]
    """Of each relevant item: the candidates with a higher score."""
    tied: Int32[np.ndarray, " rows"]
    """Of each relevant item: the candidates with its score, itself among them."""


class Grouped(NamedTuple):
    """Items grouped by user: those of user row u are `items[starts[u]:starts[u + 1]]`, each once."""

    starts: Int64[np.ndarray, " users_and_end"]
    items: Int32[np.ndarray, " rows"]


Ranker = Callable[[np.ndarray, Grouped, Grouped, np.ndarray, int], Places]


def tie_ranks(n_items: int) -> Int32[np.ndarray, " items"]:
    """The place of each item, from 0, where all are tied: by a hash of its number, because to be numbered first is no
    merit. Which of two items stands first does not depend on how many others there are.

    >>> tie_ranks(6).tolist()
    [5, 3, 4, 0, 2, 1]
    """
    ranks = np.empty(n_items, np.int32)
    ranks[np.argsort(mix(np.arange(n_items, dtype=np.uint64)), kind="stable")] = np.arange(n_items, dtype=np.int32)
    return ranks


def rank_rows(
    scores: Float32[np.ndarray, "users items"],
    seen: Grouped,
    relevant: Grouped,
    ranks: Int32[np.ndarray, " items"],
    k: int,
) -> Places:
    """Rank the candidates of each user: all items that are not in `seen` and whose score is above −inf.

    `relevant` items must be candidates; `ranks` are distinct, the lower first in a list where scores are equal; `k` is
    at most the number of items. Scores must not be NaN, which compares with nothing: `first_row_not_finite` tells.
    """
    n_users, n_rows = len(scores), len(relevant.items)
    found = Places(
        np.full((n_users, k), -1, np.int32),
        np.full((n_users, k), -np.inf, np.float32),
        np.empty(n_rows, np.int32),
        np.empty(n_rows, np.int32),
    )
    edges = np.linspace(0, n_users, min(CPU_THREADS, max(n_users, 1)) + 1).astype(np.int64)
    run_over_ranges(_rank_range, edges, scores, *seen, *relevant, ranks, *found)
    return found


def rank_rows_jax(
    scores: Float32[np.ndarray, "users items"],
    seen: Grouped,
    relevant: Grouped,
    ranks: Int32[np.ndarray, " items"],
    k: int,
) -> Places:
    """The readable twin of `rank_rows`, and the way on an accelerator."""
    order = np.argsort(ranks, kind="stable")
    found = _rank_jax(scores, *_padded_pairs(seen), *_padded_pairs(relevant), order, k)
    top, top_scores, above, tied = (np.asarray(part) for part in found)
    n_rows = len(relevant.items)
    return Places(top.astype(np.int32), top_scores, above[:n_rows].astype(np.int32), tied[:n_rows].astype(np.int32))


@partial(jax.jit, static_argnums=6)
def _rank_jax(
    scores: jax.Array,
    seen_row: jax.Array,
    seen_item: jax.Array,
    row: jax.Array,
    item: jax.Array,
    order: jax.Array,
    k: int,
) -> tuple[jax.Array, ...]:
    # Adding zero makes -0.0 the 0.0 that it equals: lax.top_k would tell them apart. Padding lies outside: dropped.
    masked = (scores + 0).at[seen_row, seen_item].set(-jnp.inf, mode="drop")
    top_scores, at = jax.lax.top_k(masked[:, order], k)  # lax.top_k puts the first column first among equals
    top = order[at]

    def counts_of(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        own, item = masked[pair[0]], pair[1]
        return (own > own[item]).sum(), (own == own[item]).sum()

    counts = jax.lax.map(counts_of, (row, item), batch_size=256)
    return jnp.where(jnp.isneginf(top_scores), -1, top), top_scores, *counts


def _padded_pairs(rows: Grouped) -> tuple[Int32[np.ndarray, " padded"], Int32[np.ndarray, " padded"]]:
    """User row and item of each pair, padded with a user row that is not there to the next power of two: few shapes
    compile, however many pairs the batches have."""
    n_users = len(rows.starts) - 1
    padded = 1 << (len(rows.items) - 1).bit_length() if len(rows.items) else 1
    user, item = np.full(padded, n_users, np.int32), np.zeros(padded, np.int32)
    user[: len(rows.items)] = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(rows.starts))
    item[: len(rows.items)] = rows.items
    return user, item


def device_ranker() -> Ranker:
    """The faster of the two where this process runs."""
    return rank_rows if jax.default_backend() == "cpu" else rank_rows_jax


@compiled
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def first_row_not_finite(scores):
    """The first row that holds a NaN or an infinity; −1 where there is none."""
    for row in range(scores.shape[0]):
        bits = scores[row].view(np.int32)
        bad = 0
        for j in range(bits.shape[0]):  # exponent bits all set: an integer test, which compiles to wide instructions
            bad += (bits[j] & 0x7F800000) == 0x7F800000
        if bad:
            return row
    return -1


@compiled
@no_type_check
def count_equal(scores, starts, seen_items, users, values):
    """How many candidates of each of these users have the given score."""
    found = np.empty(users.shape[0], np.int64)
    for at in range(users.shape[0]):
        user = users[at]
        row = scores[user]
        found[at] = _counts(row, seen_items[starts[user] : starts[user + 1]], values[at])[1]
    return found


@compiled
@no_type_check
def _rank_range(first, last, scores, seen_starts, seen_items, starts, items, ranks, top, top_scores, above, tied):
    is_seen = np.zeros(scores.shape[1], np.bool_)
    for user in range(first, last):
        row = scores[user]
        seen = seen_items[seen_starts[user] : seen_starts[user + 1]]
        for item in seen:
            is_seen[item] = True
        _best(row, is_seen, ranks, top[user], top_scores[user])
        for at in range(starts[user], starts[user + 1]):
            above[at], tied[at] = _counts(row, seen, row[items[at]])
        for item in seen:
            is_seen[item] = False


@compiled
@no_type_check
def _counts(row, seen, score):
    """How many candidates have a higher score than this one, and how many the same."""
    above, equal = _count(row, score)
    for j in seen:
        above -= row[j] > score
        equal -= row[j] == score
    return above, equal


@compiled
@no_type_check
def _count(row, score):
    """How many scores are above this one, and how many equal it."""
    above, equal = 0, 0
    for start in range(0, row.shape[0], COUNT_BLOCK):
        block_above, block_equal = _count_block(row[start : start + COUNT_BLOCK], score)
        above += int(block_above)
        equal += int(block_equal)
    return above, equal


@counting
@no_type_check
def _count_block(block, score):
    one, zero = np.float32(1), np.float32(0)
    above, equal = zero, zero
    for j in range(block.shape[0]):
        above += one if block[j] > score else zero
        equal += one if block[j] == score else zero
    return above, equal


@counting
@no_type_check
def _any_reaches(block, score):
    reached, one, zero = np.float32(0), np.float32(1), np.float32(0)
    for j in range(block.shape[0]):
        reached += one if block[j] >= score else zero
    return reached > zero


@compiled
@no_type_check
def _best(row, is_seen, ranks, top, top_scores):
    """Fill `top` with the best unseen items, best first, through a heap whose root is the worst item kept."""
    k, n, item = top.shape[0], 0, 0
    while item < row.shape[0] and n < k:
        if not is_seen[item] and row[item] > -np.inf:
            top[n], top_scores[n] = item, row[item]
            n += 1
        item += 1
    heapify(top, top_scores, ranks, n)
    while item < row.shape[0]:
        end = min(item + SKIP_BLOCK, row.shape[0])
        if _any_reaches(row[item:end], top_scores[0]):  # hardly any block has one, once the heap is good
            for j in range(item, end):
                if row[j] >= top_scores[0] and not is_seen[j] and is_worse(top[0], top_scores[0], j, row[j], ranks):
                    top[0], top_scores[0] = j, row[j]
                    sift_down(top, top_scores, ranks, 0, k)
        item = end
    sort_heap(top, top_scores, ranks, n)
