"""What is not on sale is never shown."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("on_sale")
@dataclass(frozen=True)
class OnSale:
    """Keeps what the release has on sale, as the overlay corrects it."""

    __post_init__ = check_settings

    def keeps(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """By row."""
        return asked.offer.is_on_sale[rows]
