"""Exact nearest neighbours by inner product: the oracle that every approximate index is held against."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import ModelError, SettingError


def exact_top_k(
    queries: Float32[np.ndarray, "queries dim"],
    vectors: Float32[np.ndarray, "vectors dim"],
    k: int,
    batch_queries: int = 512,
) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """The k vectors with the largest inner product for each query: (row numbers, scores), best first.

    Of equal scores the lower row number comes first. k is cut to the number of vectors. Memory is
    `batch_queries × vectors` floats. Raises `SettingError` for k < 1, `ModelError` for numbers that are not finite.
    """
    _check(queries, vectors, k)
    k, batch_queries = min(k, len(vectors)), min(batch_queries, max(1, len(queries)))
    indices = np.empty((len(queries), k), dtype=np.int32)
    scores = np.empty((len(queries), k), dtype=np.float32)
    table = jnp.asarray(vectors)
    for rows in _batches(len(queries), batch_queries):
        found, at = _search(jnp.asarray(_padded(queries[rows], batch_queries)), table, k)
        n_rows = rows.stop - rows.start
        scores[rows], indices[rows] = np.asarray(found)[:n_rows], np.asarray(at)[:n_rows]
    return indices, scores


def exact_top_k_numpy(
    queries: Float32[np.ndarray, "queries dim"], vectors: Float32[np.ndarray, "vectors dim"], k: int
) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """The readable twin of `exact_top_k`: one product, one stable sort."""
    _check(queries, vectors, k)
    scores = queries @ vectors.T
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return indices.astype(np.int32), np.take_along_axis(scores, indices, axis=1)


@functools.partial(jax.jit, static_argnames="k")
def _search(queries: jax.Array, vectors: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    # Accelerators multiply in reduced precision by default; an oracle must not.
    scores = jnp.matmul(queries, vectors.T, precision=jax.lax.Precision.HIGHEST)
    # lax.top_k puts the lower index first among equals, but sorts -0.0 below 0.0, which NumPy calls equal.
    best, at = jax.lax.top_k(jnp.where(scores == 0, 0.0, scores), k)
    return best, at


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
