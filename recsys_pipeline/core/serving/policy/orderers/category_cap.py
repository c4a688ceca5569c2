"""Not too much of one kind: at most so many of a category in a list."""

from dataclasses import dataclass

import numpy as np

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import Slate, part


@part("category_cap")
@dataclass(frozen=True)
class CategoryCap:
    """Items beyond the cap of their first category go to the end, in their order; those without one are not capped."""

    most: int = setting(4, "Of one category, in the list.", ge=1)

    __post_init__ = check_settings

    def order(self, asked: Asked, slate: Slate) -> Slate:
        """Capped; a list that would be short is filled with what is above the cap."""
        category = asked.offer.columns.category[slate.rows]
        order = np.argsort(category, kind="stable")
        ordered = category[order]
        starts = np.searchsorted(ordered, ordered)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - starts
        above = (rank >= self.most) & (category >= 0)
        return slate.take(np.argsort(above, kind="stable"))
