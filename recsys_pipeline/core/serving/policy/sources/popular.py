"""What most users took lately: whole, or the best of each of the user's categories."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import NOWHERE, Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("popular")
@dataclass(frozen=True)
class Popular:
    """Items by decayed counts, of now."""

    n: int = setting(50, "Candidates at most; with `by_category`, of each category.", ge=1)
    by_category: bool = setting(False, "Of the categories that the user took from, instead of all.")

    REASON: ClassVar[str] = "popular"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows, the most popular first."""
        rows = asked.offer.by_popularity
        if asked.allowed is not None:
            rows = rows[asked.allowed[rows]]
        if not self.by_category:
            return rows[: min(n, self.n)]
        category = asked.offer.columns.category
        wanted = np.unique(category[asked.taken])
        found = [rows[category[rows] == one][: self.n] for one in wanted if one >= 0]
        return np.concatenate(found) if found else NOWHERE
