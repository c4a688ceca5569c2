"""The model's own score."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("model")
@dataclass(frozen=True)
class Model:
    """The inner product with the user's vector; decayed counts where nothing is known of the user."""

    weight: float = setting(1.0, "What it counts beside other scorers.")

    __post_init__ = check_settings

    def scores(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """Summed in float64 and rounded once, so that equal vectors score equally wherever they stand."""
        if asked.vector is None:
            return asked.offer.popularity[rows] * np.float32(self.weight)
        products, _ = asked.offer.products(asked.vector[None], rows[None])
        return products[0] * np.float32(self.weight)
