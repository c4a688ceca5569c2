"""What a user has already is not recommended again."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("taken")
@dataclass(frozen=True)
class Taken:
    """Withholds what the release, the overlay or the request says the user took, and what a request is about."""

    __post_init__ = check_settings

    def keeps(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """By row."""
        return ~(asked.is_taken[rows] | asked.seen_since(rows))
