"""The chain without its noise: each block takes its conditional mode, and all descends a regularised squared error.

With penalties for precisions and τ = 1, minus twice the log posterior of `gibbs/sampler.py` is, up to a constant,

    Σ (r − r̂)² + Σ_u s_u λ_k (x_uk − w_u Σ_j y_jk)² + Σ_i s_i λ_k (z_ik − …)² + λ_y (Σ y² + …) + λ_t Σ t²

where `x = [p, b]`, `z = [q, c]` and `s = (count / mean count)^ρ`. Rows are solved exactly, as in alternating least
squares, and history vectors one at a time. Without bins this is SVD++ (Koren, KDD 2008), with `p − w Σ y` for its `p`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from recsys_pipeline.core.learning.gibbs.conditionals import Hyper, Rows, Vector
from recsys_pipeline.core.learning.gibbs.sampler import Sampler, Side


@dataclass(frozen=True)
class Modes:
    """Conditional modes under fixed precisions: block coordinate descent on a regularised squared error.

    With τ = 1 the precisions are penalties on squared norms, in the unit of a sum of squared errors.
    """

    reg: float
    bias_reg: float
    history_reg: float
    time_reg: float
    frequency_power: float

    def normals(self, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
        """Zeros: a normal's mode is its mean."""
        return np.zeros(shape, np.float32)

    def hyper(self, rows: Rows) -> Hyper:
        """The given penalties, around 0."""
        k = rows.shape[1]
        precision = np.full(k, self.reg, np.float32)
        precision[-1] = self.bias_reg
        return Hyper(np.zeros(k, np.float32), precision)

    def history_precision(self, history: Rows) -> Vector:
        """The given penalty."""
        return np.full(history.shape[1], self.history_reg, np.float32)

    def bin_precision(self, values: Float[np.ndarray, " bins"]) -> float:  # noqa: ARG002 - the protocol's signature
        """The given penalty."""
        return self.time_reg

    def noise_precision(self, squared_error: float, n: int) -> float:  # noqa: ARG002 - the protocol's signature
        """1."""
        return 1.0

    def row_scale(self, count: Int64[np.ndarray, " rows"], mean_count: float) -> Float32[np.ndarray, " rows"]:
        """`(count / mean count)^ρ`; 1 for rows without ratings."""
        return np.where(count > 0, (np.maximum(count, 1) / mean_count) ** self.frequency_power, 1).astype(np.float32)


def objective_value(chain: Sampler) -> float:
    """The objective of the module docstring; never larger after a sweep than before it."""
    error = chain.error(chain.values - chain.bin_effects())
    sides = sum(_penalty(side) for side in (chain.users, chain.items))
    bins = sum(float(bins.precision() * np.square(bins.values, dtype=np.float64).sum()) for bins in chain.bins)
    return float(np.square(error, dtype=np.float64).sum()) + sides + bins


def _penalty(side: Side) -> float:
    own = np.square(side.rows - side.explained(), dtype=np.float64) * side.scale[:, None] * side.prior.precision
    history = np.square(side.vectors, dtype=np.float64) * side.by.history_precision(side.vectors)
    return float(own.sum() + history.sum())
