"""What the model likes most for the user: the release's search index, and what the overlay adds to it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part

SLACK = 32
"""Items retrieved beyond what is asked for: what went off sale is among them, and what else scores as much as the last.
"""
DEEP = 1_000
"""Where more is asked for, every item on sale is scored: an index finds deep neighbours badly."""


@part("index")
@dataclass(frozen=True)
class Index:
    """Nearest items to the user's vector; where nothing is known of the user, what is popular."""

    REASON: ClassVar[str] = "taste"
    __post_init__ = check_settings

    def candidates(self, asked: Asked, n: int) -> Int64[np.ndarray, " found"]:
        """Rows; with predicates in the request, of the items that satisfy them alone."""
        offer, vector = asked.offer, asked.vector
        allowed = asked.allowed
        if vector is None:
            rows = offer.by_popularity
            return (rows if allowed is None else rows[allowed[rows]])[:n]
        if allowed is not None:
            return _best_of(asked, offer.on_sale[allowed[offer.on_sale]], vector, n)
        if n + SLACK > min(DEEP, len(offer.release.on_sale_rows)):
            return _best_of(asked, offer.on_sale, vector, n)
        return _retrieved(asked, vector, n)


def _retrieved(asked: Asked, vector: np.ndarray, n: int) -> Int64[np.ndarray, " found"]:
    """The n best of what the index finds and of what it does not have."""
    offer = asked.offer
    found, _ = offer.release.index.candidates(vector[None], n + SLACK)
    rows = offer.release.on_sale_rows[found[0][found[0] >= 0]]
    n_found = len(rows)
    rows = np.concatenate([rows, offer.beside])
    rows = rows[offer.is_on_sale[rows]]
    scores, error = offer.products(vector[None], rows[None])
    order = np.lexsort((offer.tie_key[rows], -scores[0]))[:n]
    # What is as good as the last may be among what the index left out: of equals it keeps any.
    if scores[0][order[-1]] <= scores[0][:n_found].min() + error[0]:
        return _best_of(asked, offer.on_sale, vector, n)
    return rows[order]


def _best_of(asked: Asked, rows: Int64[np.ndarray, " some"], vector: np.ndarray, n: int) -> Int64[np.ndarray, " found"]:
    """The n best of some rows, by the float32 product."""
    places, _ = top_k((asked.offer.vectors(rows) @ vector)[None], n, asked.offer.tie_key[rows])
    return rows[places[0][places[0] >= 0]]
