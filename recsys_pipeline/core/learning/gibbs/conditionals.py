"""How the conditionals of a rating model become values: by a draw (`GibbsDraws`) or by a mode (`gibbs/modes.py`)."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int64

Vector = Float32[np.ndarray, " k"]
Rows = Float32[np.ndarray, "rows k"]


class Hyper(NamedTuple):
    """Mean and precision per column."""

    mean: Vector
    precision: Vector


@runtime_checkable
class Conditionals(Protocol):
    """One way from distributions to values."""

    def normals(self, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
        """What a normal variable adds to its mean, in its standard deviations."""
        ...

    def hyper(self, rows: Rows) -> Hyper:
        """The prior that `rows` come from."""
        ...

    def history_precision(self, history: Rows) -> Vector:
        """The precision of history vectors around 0."""
        ...

    def bin_precision(self, values: Float[np.ndarray, " bins"]) -> float:
        """The precision of time bins around 0."""
        ...

    def noise_precision(self, squared_error: float, n: int) -> float:
        """τ, given the squared error of `n` ratings."""
        ...

    def row_scale(self, count: Int64[np.ndarray, " rows"], mean_count: float) -> Float32[np.ndarray, " rows"]:
        """What multiplies a row's prior precision, by its number of ratings and the mean of those that have any."""
        ...


class GibbsDraws:
    """Draws under conjugate hyperpriors: Gamma(`SHAPE`, `RATE`) for precisions, a normal around 0 for means.

    The hyperpriors are weak and proper: as much as four rows of variance ½. They suppose values of variance about 1,
    to which `sample_posterior` scales the ratings.
    """

    SHAPE, RATE = 2.0, 0.5
    MEAN_ROWS = 1.0
    """The prior of a mean counts as so many rows at 0."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def normals(self, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
        """Standard normal draws."""
        return self.generator.standard_normal(shape, np.float32)

    def hyper(self, rows: Rows) -> Hyper:
        """A draw from the normal-gamma posterior of each column (Murphy, "Conjugate Bayesian analysis", 2007, 85)."""
        n, k = rows.shape
        mean = rows.mean(axis=0, dtype=np.float64) if n else np.zeros(k)
        scatter = np.square(rows - mean, dtype=np.float64).sum(axis=0)
        shrunk = self.MEAN_ROWS * n / (self.MEAN_ROWS + n) * mean**2
        precision = self._gamma(n, scatter + shrunk)
        deviation = 1 / np.sqrt(precision * (self.MEAN_ROWS + n))
        drawn = n * mean / (self.MEAN_ROWS + n) + self.generator.standard_normal(k) * deviation
        return Hyper(drawn.astype(np.float32), precision.astype(np.float32))

    def history_precision(self, history: Rows) -> Vector:
        """A draw per column."""
        squares = np.square(history, dtype=np.float64).sum(axis=0)
        return self._gamma(len(history), squares).astype(np.float32)

    def bin_precision(self, values: Float[np.ndarray, " bins"]) -> float:
        """A draw."""
        return float(self._gamma(len(values), np.square(values, dtype=np.float64).sum(keepdims=True))[0])

    def noise_precision(self, squared_error: float, n: int) -> float:
        """A draw."""
        return float(self._gamma(n, np.array([squared_error]))[0])

    def row_scale(self, count: Int64[np.ndarray, " rows"], mean_count: float) -> Float32[np.ndarray, " rows"]:  # noqa: ARG002 - the protocol's signature
        """1: how much a row's ratings say is in the likelihood alone."""
        return np.ones(len(count), np.float32)

    def _gamma(self, n: int, squares: np.ndarray) -> np.ndarray:
        return self.generator.standard_gamma(self.SHAPE + n / 2, len(squares)) / (self.RATE + squares / 2)
