"""What is taken more in these hours than its popularity lets expect: the hourly overlay's list."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import NOWHERE, Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("trending")
@dataclass(frozen=True)
class Trending:
    """Items by how far they rise; none before the first hour over a release."""

    n: int = setting(20, "Candidates at most.", ge=1)

    REASON: ClassVar[str] = "trending"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows, the strongest first."""
        rows = asked.offer.trending
        return rows[: min(self.n, n)] if len(rows) else NOWHERE
