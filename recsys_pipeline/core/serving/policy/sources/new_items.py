"""What came lately, so that new items are seen by somebody."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part

DAY_US = 86_400_000_000


@part("new_items")
@dataclass(frozen=True)
class NewItems:
    """Items of the last days, by `created_at`, the newest first."""

    n: int = setting(20, "Candidates at most.", ge=1)
    days: float = setting(14.0, "How long an item is new.", gt=0)

    REASON: ClassVar[str] = "new"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows; of equal times the smaller hash first."""
        offer = asked.offer
        rows = offer.by_age
        created_us = offer.columns.created_us[rows]
        is_new = (created_us <= asked.request.at_us) & (created_us > asked.request.at_us - self.days * DAY_US)
        return rows[is_new][: min(self.n, n)]
