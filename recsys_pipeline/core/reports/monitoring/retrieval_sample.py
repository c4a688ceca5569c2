"""What a model's vectors give a sample of users: top lists over what is on offer, and distances to nearest items."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer, UInt64

from recsys_pipeline.core.kernels import top_k_refined
from recsys_pipeline.core.neighbors.products import products_of_rows

BATCH = 256
"""Users or items whose scores are held at once."""


@dataclass(frozen=True)
class Retrieval:
    """What makes the lists: vectors, which user has seen which item, and who was there.

    `catalogue_row` is the row of each item vector in the `CatalogueState`, −1 where it has none.
    """

    user_vectors: Float32[np.ndarray, "users dim"]
    item_vectors: Float32[np.ndarray, "items dim"]
    seen_user: Integer[np.ndarray, " seen"]
    seen_item: Integer[np.ndarray, " seen"]
    catalogue_row: Int64[np.ndarray, " items"]
    active_users: Integer[np.ndarray, " active"]
    tie_key: UInt64[np.ndarray, " items"]
    """What orders items of equal scores, as in served lists: the hashes of their ids."""


def top_lists(
    retrieval: Retrieval, users: Int64[np.ndarray, " users"], offered: Int64[np.ndarray, " offered"], k: int
) -> tuple[Int64[np.ndarray, "users k"], Float64[np.ndarray, "users k"], Int64[np.ndarray, " users"]]:
    """The k best unseen items on offer of each user (−1 where there are fewer), their scores, and all candidates."""
    top, best = np.full((len(users), k), -1, np.int64), np.full((len(users), k), -np.inf)
    candidates = np.zeros(len(users), np.int64)
    column_of = np.full(len(retrieval.item_vectors), -1, np.int64)
    column_of[offered] = np.arange(len(offered))
    for start in range(0, len(users) if len(offered) else 0, BATCH):
        rows = slice(start, min(start + BATCH, len(users)))
        rough, vectors = _unseen_scores(retrieval, users[rows], offered, column_of), retrieval.user_vectors[users[rows]]
        candidates[rows] = np.isfinite(rough).sum(axis=1)

        def refine(at: np.ndarray, columns: np.ndarray, vectors: np.ndarray = vectors) -> tuple[np.ndarray, np.ndarray]:
            return products_of_rows(vectors[at], retrieval.item_vectors, np.append(offered, -1)[columns])

        columns, best[rows] = top_k_refined(rough, k, refine, retrieval.tie_key[offered])
        top[rows] = np.append(offered, -1)[columns]
    return top, best, candidates


def top_list(
    retrieval: Retrieval, user: int, offered: Int64[np.ndarray, " offered"], k: int
) -> list[tuple[int, float]]:
    """The readable twin of `top_lists`: (item, score) of one user, best first, as many as there are."""
    seen = {int(item) for of, item in zip(retrieval.seen_user, retrieval.seen_item, strict=True) if of == user}
    scores = retrieval.item_vectors.astype(np.float64) @ retrieval.user_vectors[user]
    ranked = sorted(
        (-float(np.float32(scores[item])), int(retrieval.tie_key[item]), int(item))
        for item in offered
        if int(item) not in seen
    )
    return [(item, -negative) for negative, _, item in ranked[:k]]


def _unseen_scores(
    retrieval: Retrieval, users: np.ndarray, offered: np.ndarray, column_of: np.ndarray
) -> Float32[np.ndarray, "users offered"]:
    """Scores of what is on offer; −inf where the user has seen it."""
    row_of = np.full(len(retrieval.user_vectors), -1, np.int64)
    row_of[users] = np.arange(len(users))
    row, column = row_of[retrieval.seen_user], column_of[retrieval.seen_item]
    known = (row >= 0) & (column >= 0)
    scores = retrieval.user_vectors[users] @ retrieval.item_vectors[offered].T
    scores[row[known], column[known]] = -np.inf
    return scores


def neighbor_distances(
    vectors: Float32[np.ndarray, "items dim"],
    among: Int64[np.ndarray, " among"],
    queries: Int64[np.ndarray, " queries"],
) -> Float64[np.ndarray, " queries"]:
    """Cosine distance of each query item to the nearest other item; NaN where a vector is zero or there is no other."""
    units = vectors[among] / np.maximum(norms(vectors[among]), np.finfo(np.float32).tiny)[:, None].astype(np.float32)
    distances = np.full(len(queries), np.nan)
    at = np.searchsorted(among, queries)
    for start in range(0, len(queries) if len(among) > 1 else 0, BATCH):
        rows = at[start : start + BATCH]
        similarity = (units[rows] @ units.T).astype(np.float64)
        similarity[np.arange(len(rows)), rows] = -np.inf
        is_zero = ~units[rows].any(axis=1)
        distances[start : start + len(rows)] = np.where(is_zero, np.nan, 1 - similarity.max(axis=1))
    return distances


def norms(vectors: Float32[np.ndarray, "n dim"]) -> Float64[np.ndarray, " n"]:
    """Euclidean lengths."""
    return np.linalg.norm(vectors.astype(np.float64), axis=1)
