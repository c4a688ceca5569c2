"""Candidates for an index: faiss families and their settings, built, measured against the oracle and chosen.

The choice must come out the same every time, so it never looks at a clock: it counts the distances that each setting
computes and weighs them by what one costs. Seconds are measured too, and only reported.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Float64, Int64

from recsys_pipeline.core.kernels import top_k

Clock = Callable[[], float]
_COUNTS: Any = faiss.cvar  # faiss counts the distances of each search here, per process; its stubs do not know it
FAMILIES = ("flat", "ivf", "ivf_equal_norms", "hnsw")
"""`flat` scans everything, `ivf` the nearest clusters, `hnsw` walks a graph; of equal costs the earlier wins."""

FOUND_AT_ONCE = 4_000_000
"""Rows and scores that a search holds at once: 48 MB."""

DISTANCE_COST = {"flat": 1.0, "ivf": 1.5, "ivf_equal_norms": 1.5, "hnsw": 3.0}
"""What one distance costs beside one in a full scan. One thread, 6,000–40,000 vectors of 32–128 dimensions: a scan took
10–21 ns a distance, clusters 18–31, a graph 28–85, since it reads memory in no order."""


@dataclass(frozen=True)
class Candidate:
    """One setting of one index family, measured on the tuning queries."""

    family: str
    parameter: str
    """What `value` sets: "nprobe", "efSearch", or "" for the exact index."""
    value: int
    recall: float
    recall_low: float
    """Recall less two standard errors over queries: what must reach the target."""
    cost: float
    """Distances computed per query, in units of one distance of a full scan."""
    queries_per_second: float
    """Measured in batches on one thread: varies from run to run, so nothing depends on it."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Faiss on one thread, so that clusters and graphs come out the same and speeds compare."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def build(family: str, vectors: Float32[np.ndarray, "n dim"], seed: int) -> Any:
    """A trained and filled faiss index of one family over inner products."""
    vectors = with_equal_norms(vectors) if family == "ivf_equal_norms" else np.ascontiguousarray(vectors)
    n, dim = vectors.shape
    if family == "flat":
        index = faiss.IndexFlatIP(dim)
    elif family == "hnsw":
        index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 100
    else:
        # Between sqrt(n) and 2 sqrt(n) lists balances scanning lists against scanning centroids.
        n_lists = max(1, min(2 ** round(np.log2(1.4 * np.sqrt(n))), n))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, n_lists, faiss.METRIC_INNER_PRODUCT)
        # faiss seeds with a C int. Few points per centroid only cost recall, which is measured: no warning needed.
        index.cp.seed, index.cp.min_points_per_centroid = seed % 2**31, 1
        index.train(vectors)
    index.add(vectors)
    return index


def with_equal_norms(vectors: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n dim+1"]:
    """The vectors with sqrt(max‖x‖² − ‖x‖²) appended: all norms agree, and a query's 0 there changes no product."""
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.column_stack([vectors, np.sqrt(squares.max() - squares)]).astype(np.float32)


def search(
    index: Any, queries: Float32[np.ndarray, "queries dim"], k: int
) -> tuple[Int64[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """(rows, scores), best first, equal scores by lower row; row −1 with score −inf where fewer than k are found.

    faiss keeps any rows of a tie at the cut: `IndexFlatIP` drops the lowest of them when better ones come later. So one
    more is asked for, and where it is as good as the last, eight times as many, until the tie ends.
    """
    width, waiting = k + 1, np.arange(len(queries))
    rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
    while len(waiting):
        width, open_ = min(width, index.ntotal), []
        for part in np.array_split(waiting, math.ceil(len(waiting) * width / FOUND_AT_ONCE)):
            found, of_found = found_by_faiss(index, queries[part], width)
            places, scores[part] = top_k(of_found, k, found.astype(np.uint64))
            rows[part] = np.where(places < 0, -1, np.take_along_axis(found, places, axis=1))
            is_cut = (of_found[:, -1] == scores[part, -1]) & (found[:, -1] >= 0)
            open_.append(part[is_cut] if width < index.ntotal else part[:0])
        waiting, width = np.concatenate(open_), 8 * width
    return rows, scores


def found_by_faiss(
    index: Any, queries: Float32[np.ndarray, "queries dim"], k: int
) -> tuple[Int64[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """(rows, scores) as faiss gives them, best first: which of equal scores it keeps at the cut is not defined."""
    if queries.shape[1] < index.d:  # of equal norms
        queries = np.pad(queries, ((0, 0), (0, index.d - queries.shape[1])))
    scores, rows = index.search(np.ascontiguousarray(queries), k)
    return rows, np.where(rows < 0, np.float32(-np.inf), scores)


class Probe:
    """Measures indexes on one set of queries against the exact oracle."""

    def __init__(self, vectors: np.ndarray, queries: np.ndarray, k: int, clock: Clock = time.perf_counter) -> None:
        from recsys_pipeline.core.neighbors.exact import exact_top_k  # loads JAX, which searching does not need

        self.k, self.queries, self._clock = min(k, len(vectors)), queries, clock
        self.neighbours, best = exact_top_k(queries, vectors, self.k)
        # Rounding differs between kernels by about 1e-7 of the norms; a neighbour equal to the last one counts too.
        scale = np.linalg.norm(queries, axis=1) * np.linalg.norm(vectors, axis=1).max()
        self._threshold = best[:, -1:] - 1e-6 * scale[:, None].astype(np.float32)

    def recall(self, index: Any) -> Float64[np.ndarray, " queries"]:
        """Per query, the share of the true k neighbours that the index finds; equal scores are equally right."""
        _, scores = found_by_faiss(index, self.queries, self.k)  # once, for the distances are counted
        return (scores >= self._threshold).mean(axis=1)

    def queries_per_second(self, index: Any, repeats: int) -> float:
        """The fastest of some timed passes over all queries."""
        seconds = np.inf
        for _ in range(repeats):
            start = self._clock()
            search(index, self.queries, self.k)
            seconds = min(seconds, self._clock() - start)
        return len(self.queries) / max(seconds, 1e-9)


def sweep(index: Any, family: str, probe: Probe, repeats: int) -> Iterator[Candidate]:
    """Candidates of one family from cheap to dear, until one finds everything."""
    for parameter, value in _settings(index, family):
        set_parameter(index, parameter, value)
        _reset_counts()
        recall = probe.recall(index)
        cost = _cost(index, family, len(recall))
        mean, error = float(recall.mean()), float(recall.std() / np.sqrt(len(recall)))
        speed = probe.queries_per_second(index, repeats)
        yield Candidate(family, parameter, value, mean, mean - 2 * error, cost, speed)
        if mean > 0.9995:
            return


def choose(candidates: Sequence[Candidate], recall_target: float) -> Candidate:
    """The cheapest candidate that reaches the target with two standard errors to spare, else the best recall."""
    good = [row for row in candidates if row.recall_low >= recall_target]
    return min(good, key=lambda row: row.cost) if good else max(candidates, key=lambda row: row.recall)


def set_parameter(index: Any, parameter: str, value: int) -> None:
    """Set the search parameter that a `Candidate` names."""
    if parameter == "nprobe":
        index.nprobe = value
    elif parameter == "efSearch":
        index.hnsw.efSearch = value


def _settings(index: Any, family: str) -> list[tuple[str, int]]:
    if family == "flat":
        return [("", 0)]
    if family == "hnsw":
        return [("efSearch", 2**i) for i in range(4, 10)]
    return [("nprobe", 2**i) for i in range(int(index.nlist).bit_length())]


def _reset_counts() -> None:
    _COUNTS.indexIVF_stats.reset()
    _COUNTS.hnsw_stats.reset()


def _cost(index: Any, family: str, n_queries: int) -> float:
    """Weighted distances per query since `_reset_counts`; faiss counts lists and graphs, a scan is known."""
    if family == "flat":
        return float(index.ntotal)
    if family == "hnsw":
        return DISTANCE_COST[family] * _COUNTS.hnsw_stats.ndis / n_queries
    return float(index.nlist) + DISTANCE_COST[family] * _COUNTS.indexIVF_stats.ndis / n_queries
