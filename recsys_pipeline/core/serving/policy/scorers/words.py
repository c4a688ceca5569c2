"""How well an item matches the request's words."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("words")
@dataclass(frozen=True)
class Words:
    """BM25 of title and categories; 0 for an item that holds none of the words."""

    weight: float = setting(1.0, "What it counts beside other scorers.")

    __post_init__ = check_settings

    def scores(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """By row."""
        found, scores = asked.offer.words.matches(asked.request.query)
        of_rows = np.zeros(len(asked.offer.is_on_sale), np.float32)
        of_rows[found] = scores
        return np.float32(self.weight) * of_rows[rows]
