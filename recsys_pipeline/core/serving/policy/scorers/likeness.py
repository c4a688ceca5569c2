"""How like an item is to the one that a request is about."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("likeness")
@dataclass(frozen=True)
class Likeness:
    """The cosine of their vectors, from −1 to 1; 0 where the request is about no item."""

    weight: float = setting(1.0, "What it counts beside other scorers.")

    __post_init__ = check_settings

    def scores(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """By row."""
        if not len(asked.around):
            return np.zeros(len(rows), np.float32)
        products = asked.offer.unit_vectors(rows).astype(np.float64) @ asked.offer.unit_vectors(asked.around)[0]
        return (self.weight * products).astype(np.float32)
