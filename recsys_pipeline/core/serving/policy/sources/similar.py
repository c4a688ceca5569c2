"""What goes with an item: the one that a request is about, or the latest that the user took."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.serving.policy.asked import NOWHERE, Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("similar")
@dataclass(frozen=True)
class Similar:
    """Nearest items by the cosine of the model's item vectors."""

    n: int = setting(100, "Candidates at most, of each item.", ge=1)
    latest: int = setting(3, "Of how many of the user's latest items, where the request is about none.", ge=1)

    REASON: ClassVar[str] = "similar"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows, nearest first, the latest item's before others'."""
        offer = asked.offer
        about = asked.around if asked.request.around else asked.taken[-self.latest :][::-1]
        if not len(about):
            return NOWHERE
        rows = offer.on_sale if asked.allowed is None else offer.on_sale[asked.allowed[offer.on_sale]]
        # One more of each: an item is nearest to itself.
        places, _ = top_k(offer.unit_vectors(about) @ offer.unit_vectors(rows).T, min(n, self.n) + 1,
                          offer.tie_key[rows])  # fmt: skip
        found = rows[places[places >= 0]]
        return found[~np.isin(found, about)]
