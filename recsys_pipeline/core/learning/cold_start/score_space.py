"""Item vectors as the scores that they lead to: a mapper's error is what it does to scores, not to coordinates."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from recsys_pipeline.core.errors import ModelError

_NEGLIGIBLE = 1e-9  # share of the largest eigenvalue: below it float32 users do not span a direction


@dataclass(frozen=True)
class ScoreSpace:
    """An affine image of item vectors whose squared distances are differences in score, averaged over users.

    With users U and C = UᵀU / n, ‖(v − v̂) C^½‖² is the mean over users of the squared difference in score. The image
    is centred at the weighted mean vector and scaled so that items are 1 away from it on average; so the squared error
    of a mapper is the share of the variance of scores that it leaves unexplained. Directions in which no user or no
    item differs (a constant dimension, say) keep the mean.
    """

    mean: Float64[np.ndarray, " dim"]
    forward: Float64[np.ndarray, "dim space"]
    backward: Float64[np.ndarray, "space dim"]

    @classmethod
    def of(
        cls,
        item_vectors: Float32[np.ndarray, "items dim"],
        user_vectors: Float32[np.ndarray, "users dim"],
        weights: Float64[np.ndarray, " items"],
    ) -> "ScoreSpace":
        """Fit it on the items that weigh; raises `ModelError` where there are none, or no user."""
        if not weights.sum() > 0 or not len(user_vectors):
            raise ModelError("no item or no user with a train interaction: there is no item space to map into")
        mean = weights @ item_vectors.astype(np.float64) / weights.sum()
        gaps = item_vectors[weights > 0] - mean
        free = np.flatnonzero(np.abs(gaps).max(axis=0) > 1e-6 * (1 + np.abs(mean)))
        users = user_vectors[:, free].astype(np.float64)
        values, basis = np.linalg.eigh(users.T @ users / len(users))
        kept = values > _NEGLIGIBLE * values.max(initial=0)
        root = np.sqrt(values[kept])
        forward, backward = np.zeros((len(mean), len(root))), np.zeros((len(root), len(mean)))
        forward[free], backward[:, free] = basis[:, kept] * root, (basis[:, kept] / root).T
        variance = weights[weights > 0] @ np.square(gaps @ forward).sum(axis=1) / weights.sum()
        scale = np.sqrt(variance) if variance > 0 else 1.0
        return cls(mean, forward / scale, backward * scale)

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> Float64[np.ndarray, "items space"]:
        """Item vectors as points of the space."""
        return (vectors - self.mean) @ self.forward

    def decode(self, points: Float[np.ndarray, "items space"]) -> Float32[np.ndarray, "items dim"]:
        """The item vectors of points."""
        return (self.mean + points @ self.backward).astype(np.float32)
