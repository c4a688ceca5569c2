"""Items that a shop puts at a place by hand."""

from dataclasses import dataclass

import numpy as np

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import Slate, part


@part("pinned")
@dataclass(frozen=True)
class Pinned:
    """Moves items that are among the candidates to the first places, in the order given; it shows nobody what filters
    withheld, and nothing that no source named."""

    items: tuple[str, ...] = setting((), "Ids, the first place first.")

    __post_init__ = check_settings

    def order(self, asked: Asked, slate: Slate) -> Slate:
        """With these first."""
        rows = asked.offer.rows(list(self.items))
        place = {int(row): at for at, row in enumerate(rows) if row >= 0}
        return slate.take(np.argsort([place.get(int(row), len(self.items)) for row in slate.rows], kind="stable"))
