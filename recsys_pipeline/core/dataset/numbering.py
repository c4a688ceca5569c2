"""Numbers for users and items that do not depend on what they are called or in which order their rows come.

An id carries no information, but its number would: it starts a random draw, orders what ties, and decides how sums are
rounded. So numbers follow from what was done: users and items are told apart by their rows, then by the rows of those
whom they meet, and so on (colour refinement; Weisfeiler and Leman 1968), and take the order of a hash of that.

What looks alike after that is mostly alike: 100 people who each looked once at a thing of their own. Which comes first
does not matter then, but person and thing must come together: so those that are alike are numbered component by
component. Where some are alike within a component, one of them is set apart, and the others follow from it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt64
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from recsys_pipeline.core.hashing import mix, mix_columns
from recsys_pipeline.core.ratings import Ratings

MAX_ROUNDS = 16
"""Bound of the refinements in a row; MovieLens 100K takes 3."""
MAX_CHOICES = 64
"""Bound of the nodes that are set apart in a component; what is alike then are mostly items of the same users."""

Hashes = UInt64[np.ndarray, " _"]


@dataclass(frozen=True)
class Rows:
    """Rows by provisional numbers, and a hash of all else that is known of each."""

    user: Int[np.ndarray, " rows"]
    item: Int[np.ndarray, " rows"]
    content: UInt64[np.ndarray, " rows"]
    n_users: int
    n_items: int


def renumbered(parts: Mapping[str, Ratings], known: Sequence[str]) -> dict[str, Ratings]:
    """The same rows by lasting numbers, which the rows of the `known` parts give, each part in the order of those."""
    own = [parts[name] for name in known]
    content = [row_content(part.value, part.timestamp_us, np.full(len(part), at)) for at, part in enumerate(own)]
    user, item = (np.concatenate([getattr(part, name) for part in own]) for name in ("user", "item"))
    users, items = number(Rows(user, item, np.concatenate(content), own[0].n_users, own[0].n_items))
    return {name: _in_order(part, users, items) for name, part in parts.items()}


def _in_order(part: Ratings, users: np.ndarray, items: np.ndarray) -> Ratings:
    user, item = users[part.user].astype(np.int32), items[part.item].astype(np.int32)
    order = np.lexsort((part.value, item, part.timestamp_us, user))
    return dataclasses.replace(part, user=user, item=item).take(order)


def row_content(value: np.ndarray, timestamp_us: np.ndarray, part: np.ndarray) -> Hashes:
    """The hash of what a row says beside its user and item; `part` tells train from test."""
    bits = np.ascontiguousarray(value, np.float64).view(np.uint64)
    return mix_columns(0, bits, timestamp_us, part)


def number(rows: Rows) -> tuple[Int64[np.ndarray, " users"], Int64[np.ndarray, " items"]]:
    """The lasting number of each provisional user and item.

    Time O(rows) per round, memory some 60 bytes a row: 20 million rows take 20 s.
    """
    nodes = np.zeros(rows.n_users + rows.n_items, np.uint64)
    nodes[rows.n_users :] = 1
    nodes = _refined(rows, nodes)
    component = np.zeros(len(nodes), np.int64)
    for _ in range(MAX_CHOICES):
        component = _components_of_the_alike(rows, nodes)
        chosen = _first_alike_within(component, nodes, rows.n_users)
        if not len(chosen):
            break
        nodes[chosen] = mix(nodes[chosen])
        nodes = _refined(rows, nodes)
    order = np.lexsort((component, nodes))
    users, items = (order[is_kind] for is_kind in (order < rows.n_users, order >= rows.n_users))
    return _inverse(users), _inverse(items - rows.n_users)


def _refined(rows: Rows, nodes: Hashes) -> Hashes:
    """Hashes (of users, then of items) that tell apart what the rows can tell apart, given what is told apart."""
    users, items = nodes[: rows.n_users], nodes[rows.n_users :]
    n_apart = 0
    for _ in range(MAX_ROUNDS):
        users = mix(users ^ mix(_sums(mix(rows.content ^ items[rows.item]), rows.user, rows.n_users)))
        items = mix(items ^ mix(_sums(mix(rows.content ^ users[rows.user]), rows.item, rows.n_items)))
        before, n_apart = n_apart, len(np.unique(users)) + len(np.unique(items))
        if n_apart == before:
            break
    return np.concatenate([users, items])


def _sums(hashes: Hashes, at: np.ndarray, n: int) -> Hashes:
    """Sums modulo 2^64, which no order of rows can change."""
    sums = np.zeros(n, np.uint64)
    np.add.at(sums, at, hashes)
    return sums


def _components_of_the_alike(rows: Rows, nodes: Hashes) -> Int64[np.ndarray, " nodes"]:
    """The component of each node in what rows join of nodes that have their like elsewhere; others stand alone."""
    alike = _is_repeated(nodes)
    item = rows.item + rows.n_users
    joined = np.flatnonzero(alike[rows.user] & alike[item])
    ends = (rows.user[joined], item[joined])
    graph = sparse.coo_array((np.ones(len(joined), bool), ends), shape=(len(nodes), len(nodes)))
    return connected_components(graph.tocsr(), directed=False)[1].astype(np.int64)


def _first_alike_within(component: np.ndarray, nodes: Hashes, n_users: int) -> Int64[np.ndarray, " chosen"]:
    """One node of each component that has its like in it: of the lowest hash, users before items."""
    order = np.lexsort((nodes, np.arange(len(nodes)) >= n_users, component))
    same = np.flatnonzero((np.diff(component[order]) == 0) & (np.diff(nodes[order]) == 0))
    return order[same[np.unique(component[order][same], return_index=True)[1]]]


def _is_repeated(hashes: Hashes) -> Bool[np.ndarray, " _"]:
    _, of_value, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return counts[of_value] > 1


def _inverse(order: np.ndarray) -> Int64[np.ndarray, " _"]:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place
