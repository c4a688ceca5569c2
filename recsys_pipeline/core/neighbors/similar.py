"""Item-to-item visual search: the products that look most like a product, or like any picture that was embedded."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, UInt64

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.kernels import top_k_refined
from recsys_pipeline.core.neighbors.products import products_of_rows

SCORES_AT_ONCE = 8_000_000
"""Similarities held at once: 32 MB."""

Found = tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]
"""Rows and cosines, best first; row −1 with cosine −inf where fewer than k are left."""


def similar_products(
    vectors: Float32[np.ndarray, "products dim"],
    rows: Int[np.ndarray, " queries"],
    k: int,
    categories: Int[np.ndarray, " products"] | None = None,
    available: Bool[np.ndarray, " products"] | None = None,
    tie_key: UInt64[np.ndarray, " products"] | None = None,
) -> Found:
    """The k products nearest by cosine to each product of `rows`, which is left out itself.

    Cosine, since what two products have in common is the direction; the length says how sure the tower is. With
    `categories` only products of the same one compete, with `available` only those that can be bought. Equal cosines
    go to the smaller `tie_key`, or to the lower row where there is none. Raises `SettingError` for k < 1 and
    `ModelError` for vectors that are not finite.
    """
    parts = []
    for part in _batches(rows, len(vectors)):
        allowed = np.arange(len(vectors)) != part[:, None]
        if categories is not None:
            allowed &= categories == categories[part][:, None]
        if available is not None:
            allowed &= available
        parts.append(nearest_by_cosine(vectors[part], vectors, k, allowed, tie_key))
    found, cosines = zip(*parts, strict=True)
    return np.concatenate(found), np.concatenate(cosines)


def nearest_by_cosine(
    queries: Float32[np.ndarray, "queries dim"],
    vectors: Float32[np.ndarray, "products dim"],
    k: int,
    allowed: Bool[np.ndarray, "queries products"] | None = None,
    tie_key: UInt64[np.ndarray, " products"] | None = None,
) -> Found:
    """The k allowed vectors nearest by cosine to each query (a photograph that was embedded, say).

    A vector of length 0 has cosine 0 with everything. Memory is queries × products floats.
    """
    if k < 1:
        raise SettingError(f"k = {k}: ask for at least one neighbour")
    queries, vectors = _unit(queries, "query"), _unit(vectors, "vector")
    cosines = queries @ vectors.T
    if allowed is not None:
        cosines = np.where(allowed, cosines, np.float32(-np.inf))
    found, best = top_k_refined(cosines, k, lambda rows, some: products_of_rows(queries[rows], vectors, some), tie_key)
    return found.astype(np.int32), best


def similar_product_plainly(
    vectors: Float32[np.ndarray, "products dim"], row: int, k: int, allowed: Bool[np.ndarray, " products"]
) -> list[int]:
    """The readable twin of `similar_products` for one product: rows, as many as are allowed."""
    own = vectors[row]
    cosine = {
        other: float(own @ vector / (np.linalg.norm(own) * np.linalg.norm(vector) or 1.0))
        for other, vector in enumerate(vectors)
        if other != row and allowed[other]
    }
    return sorted(cosine, key=lambda other: (-cosine[other], other))[:k]


def _unit(vectors: np.ndarray, name: str) -> Float32[np.ndarray, "n dim"]:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ModelError(f"{name} row {int(np.flatnonzero(~finite)[0])} is not finite: check the model that made it")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def _batches(rows: np.ndarray, n_products: int) -> Iterator[np.ndarray]:
    size = max(1, SCORES_AT_ONCE // max(n_products, 1))
    for start in range(0, max(len(rows), 1), size):
        yield rows[start : start + size]
