"""Exact nearest neighbours by inner product: the oracle that every approximate index is held against."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32, UInt64

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.kernels import top_k


def exact_top_k(
    queries: Float32[np.ndarray, "queries dim"],
    vectors: Float32[np.ndarray, "vectors dim"],
    k: int,
    batch_queries: int = 512,
    tie_key: UInt64[np.ndarray, " vectors"] | None = None,
) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """The k vectors with the largest inner product for each query: (row numbers, scores), best first.

    Of equal scores the lower row number comes first, or the one that `tie_key` puts first. k is cut to the number of
    vectors. Memory is `batch_queries × vectors` floats. An accelerator multiplies where there is one. Raises
    `SettingError` for k < 1, `ModelError` for numbers that are not finite.
    """
    _check(queries, vectors, k)
    k, batch_queries = min(k, len(vectors)), min(batch_queries, max(1, len(queries)))
    indices = np.empty((len(queries), k), dtype=np.int32)
    scores = np.empty((len(queries), k), dtype=np.float32)
    table = jnp.asarray(vectors)
    for rows in _batches(len(queries), batch_queries):
        products = np.asarray(_products(jnp.asarray(_padded(queries[rows], batch_queries)), table))
        indices[rows], scores[rows] = top_k(products[: rows.stop - rows.start], k, tie_key)
    return indices, scores


def exact_top_k_numpy(
    queries: Float32[np.ndarray, "queries dim"], vectors: Float32[np.ndarray, "vectors dim"], k: int
) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """The readable twin of `exact_top_k`: one product, one stable sort."""
    _check(queries, vectors, k)
    scores = queries @ vectors.T
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return indices.astype(np.int32), np.take_along_axis(scores, indices, axis=1)


@jax.jit
def _products(queries: jax.Array, vectors: jax.Array) -> jax.Array:
    # Accelerators multiply in reduced precision by default; an oracle must not.
    return jnp.matmul(queries, vectors.T, precision=jax.lax.Precision.HIGHEST)


def _batches(n_rows: int, batch_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, batch_rows):
        yield slice(start, min(start + batch_rows, n_rows))


def _padded(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """One shape for all batches, so that the kernel compiles once."""
    return np.pad(rows, ((0, n_rows - len(rows)), (0, 0)))


def _check(queries: np.ndarray, vectors: np.ndarray, k: int) -> None:
    if k < 1:
        raise SettingError(f"k = {k}: ask for at least one neighbour")
    for name, table in (("query", queries), ("vector", vectors)):
        finite = np.isfinite(table).all(axis=1)
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            raise ModelError(f"{name} row {bad} is not finite: check the model that made it")
