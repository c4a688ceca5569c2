"""Hubs (vectors that are among everybody's nearest) and two corrections of similarities that take their edge away.

In spaces of many dimensions some vectors are near to very many others and crowd the lists: Radovanović, Nanopoulos and
Ivanović, "Hubs in space", JMLR 2010. Both corrections compare a similarity with those that the same query and the same
vector have to others. They are fitted once, on reference queries (from the training part, so that a query's result
does not depend on the other queries), and then correct the similarities of any query.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy
import scipy.special
from jaxtyping import Float, Float32, Float64, Int

from recsys_pipeline.core.errors import ModelError, SettingError

METHODS = ("csls", "mutual_proximity")
NEIGHBOURS = 10
"""Neighbours that CSLS averages over; Conneau et al. found results hardly to change from 5 to 50."""
VECTORS_AT_ONCE = 4096


def k_occurrence_skewness(neighbours: Int[np.ndarray, "queries k"], n_vectors: int) -> float:
    """Skewness of how often each vector is among the k nearest of a query: 0 is even, above about 1.4 are strong hubs.

    Row −1 is a place that nobody took. NaN where all vectors are found equally often, and where there are none.
    Radovanović et al. 2010, section 3.

    >>> round(k_occurrence_skewness(np.array([[0, 1], [0, 2], [0, 3]]), 4), 3)
    1.155
    """
    occurrences = np.bincount(neighbours[neighbours >= 0], minlength=n_vectors)
    if len(occurrences) == 0 or np.ptp(occurrences) == 0:
        return float("nan")
    return float(scipy.stats.skew(occurrences))


@dataclass(frozen=True)
class Csls:
    """Cross-domain similarity local scaling: `2 s(x, y) − r(x) − r(y)`, r being the mean similarity to the k nearest.

    r(y) is over the reference queries, r(x) over the vectors. Written for cosines; it takes any similarity. Within one
    query the order is that of `s(x, y) − r(y) / 2`, see `csls_vectors`. Conneau, Lample, Ranzato, Denoyer and Jégou,
    "Word translation without parallel data", ICLR 2018, equation 3.
    """

    penalty: Float64[np.ndarray, " vectors"]
    """r(y) of each vector."""
    n_neighbors: int

    def __call__(self, scores: Float[np.ndarray, "queries vectors"]) -> Float32[np.ndarray, "queries vectors"]:
        """Corrected similarities."""
        nearest = _mean_of_largest(scores, self.n_neighbors, axis=1)
        return (2 * scores - nearest[:, None] - self.penalty).astype(np.float32)


@dataclass(frozen=True)
class MutualProximity:
    """The chance that both the query and the vector find another one less similar: `log (P_x(s) · P_y(s))`.

    P_x is the normal distribution of the query's similarities to all vectors, P_y that of the vector's similarities to
    the reference queries, taken as independent. The logarithm orders alike and keeps small chances apart. Schnitzer,
    Flexer, Schedl and Widmer, "Local and global scaling reduce hubs in space", JMLR 2012, section 3.2.1.
    """

    mean: Float64[np.ndarray, " vectors"]
    deviation: Float64[np.ndarray, " vectors"]

    def __call__(self, scores: Float[np.ndarray, "queries vectors"]) -> Float32[np.ndarray, "queries vectors"]:
        """Corrected similarities."""
        wide = scores.astype(np.float64)
        mean, deviation = wide.mean(axis=1, keepdims=True), _spread(wide.std(axis=1, keepdims=True))
        of_query = scipy.special.log_ndtr((wide - mean) / deviation)
        return (of_query + scipy.special.log_ndtr((wide - self.mean) / self.deviation)).astype(np.float32)


Correction = Callable[[Float[np.ndarray, "queries vectors"]], Float32[np.ndarray, "queries vectors"]]


def fit_correction(
    method: str, reference_scores: Float32[np.ndarray, "references vectors"], n_neighbors: int = NEIGHBOURS
) -> Correction:
    """A correction of similarities, from those of some reference queries with all vectors.

    Raises `ModelError` without references, and `SettingError` for an unknown method or fewer than one neighbour.
    """
    if method not in METHODS:
        raise SettingError(f"there is no correction of hubs named {method!r}: choose from {', '.join(METHODS)}")
    if method == "csls":
        return Csls(csls_penalty(reference_scores, n_neighbors), n_neighbors)
    parts = [(part.mean(axis=0), part.std(axis=0)) for part in _parts(reference_scores)]
    mean, deviation = (np.concatenate([part[i] for part in parts]) for i in range(2))
    return MutualProximity(mean, _spread(deviation))


def csls_penalty(
    reference_scores: Float32[np.ndarray, "references vectors"], n_neighbors: int = NEIGHBOURS
) -> Float64[np.ndarray, " vectors"]:
    """r(y) of `Csls`: each vector's mean similarity to the `n_neighbors` references that are nearest to it."""
    if n_neighbors < 1:
        raise SettingError(f"n_neighbors = {n_neighbors}: average over at least one neighbour")
    return np.concatenate([_mean_of_largest(part, n_neighbors, axis=0) for part in _parts(reference_scores)])


def csls_vectors(
    vectors: Float32[np.ndarray, "vectors dim"], penalty: Float64[np.ndarray, " vectors"]
) -> Float32[np.ndarray, "vectors dim+1"]:
    """Vectors with −r(y) / 2 appended: a dot product with `csls_queries` orders as CSLS does, in any index."""
    return np.column_stack([vectors, -penalty / 2]).astype(np.float32)


def csls_queries(queries: Float32[np.ndarray, "queries dim"]) -> Float32[np.ndarray, "queries dim+1"]:
    """Queries with 1 appended, for an index of `csls_vectors`."""
    return np.column_stack([queries, np.ones(len(queries), np.float32)])


def correct_plainly(
    method: str,
    scores: Float64[np.ndarray, "queries vectors"],
    reference_scores: Float64[np.ndarray, "references vectors"],
    n_neighbors: int = NEIGHBOURS,
) -> Float64[np.ndarray, "queries vectors"]:
    """The readable twin of both corrections: one query and one vector at a time."""
    corrected = np.empty(scores.shape)
    for x, y in np.ndindex(*scores.shape):
        score, of_query, of_vector = scores[x, y], scores[x], reference_scores[:, y]
        if method == "csls":
            near_query, near_vector = (np.sort(row)[::-1][:n_neighbors].mean() for row in (of_query, of_vector))
            corrected[x, y] = 2 * score - near_query - near_vector
        else:
            normals = [scipy.stats.norm(row.mean(), row.std() or 1.0) for row in (of_query, of_vector)]
            corrected[x, y] = sum(normal.logcdf(score) for normal in normals)
    return corrected


def _parts(reference_scores: np.ndarray) -> Iterator[Float64[np.ndarray, "references some"]]:
    """Some vectors at a time, so that sorting and summing take little memory."""
    if not len(reference_scores):
        raise ModelError("no reference queries to correct hubs by: give the train part at least one scene")
    for start in range(0, max(reference_scores.shape[1], 1), VECTORS_AT_ONCE):
        yield reference_scores[:, start : start + VECTORS_AT_ONCE].astype(np.float64)


def _mean_of_largest(scores: np.ndarray, k: int, axis: int) -> Float64[np.ndarray, " n"]:
    """Mean of the k largest (or of all, where there are fewer) along an axis."""
    cut = max(scores.shape[axis] - k, 0)
    parted = np.partition(scores, cut, axis=axis) if scores.shape[axis] > k else scores
    largest = np.take(parted, np.arange(cut, scores.shape[axis]), axis=axis)
    # Sorted, since processors part in different orders, and sums in another order differ in their last digits.
    return np.sort(largest, axis=axis).mean(axis=axis, dtype=np.float64)


def _spread(deviation: np.ndarray) -> np.ndarray:
    """A similarity that never varies must not divide by zero: everything is then as likely as not."""
    return np.where(deviation > 0, deviation, 1.0)
