"""What a user asked not to be shown is not shown."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("avoided")
@dataclass(frozen=True)
class Avoided:
    """Withholds pairs whose last word is an aversion."""

    __post_init__ = check_settings

    def keeps(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """By row; the overlay's filter of pairs holds its hours' aversions."""
        return ~(asked.is_avoided[rows] | asked.seen_since(rows))
