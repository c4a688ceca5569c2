"""What words describe: BM25 over titles and categories."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("words")
@dataclass(frozen=True)
class Words:
    """Items that hold at least one of the request's words, by BM25; none where it has no words."""

    n: int = setting(200, "Candidates at most.", ge=1)

    REASON: ClassVar[str] = "words"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows, the best match first, of equals the more popular."""
        offer = asked.offer
        rows, scores = offer.words.matches(asked.request.query)
        keep = offer.is_on_sale[rows] if asked.allowed is None else offer.is_on_sale[rows] & asked.allowed[rows]
        rows, scores = rows[keep], scores[keep]
        order = np.lexsort((offer.tie_key[rows], -offer.popularity[rows], -scores))
        return rows[order][: max(n, self.n)]
