"""What a shop shows nobody."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("stop_list")
@dataclass(frozen=True)
class StopList:
    """Withholds items by id and by category."""

    items: tuple[str, ...] = setting((), "Ids of items.")
    categories: tuple[str, ...] = setting((), "Categories of which nothing is shown.")

    __post_init__ = check_settings

    def keeps(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """By row."""
        stopped = asked.offer.once(("stop_list", self), lambda: self._stopped(asked))
        return ~stopped[rows]

    def _stopped(self, asked: Asked) -> Bool[np.ndarray, " rows"]:
        stopped = asked.offer.columns.in_categories(self.categories)
        rows = asked.offer.rows(list(self.items))
        stopped[rows[rows >= 0]] = True
        return stopped
