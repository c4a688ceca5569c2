"""What the model likes most for the user: the release's search index, and what the overlay adds to it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import FIRST, part

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
        offer, vector, allowed = asked.offer, asked.vector, asked.allowed
        rows = offer.on_sale if allowed is None else offer.on_sale[allowed[offer.on_sale]]
        if vector is None:
            popular = offer.by_popularity
            return (popular if allowed is None else popular[allowed[popular]])[:n]
        is_first = n <= asked.request.k + FIRST  # where filters left too few, nothing is left to chance
        if allowed is None and is_first and n + SLACK <= min(DEEP, len(offer.release.on_sale_rows)):
            return _retrieved(asked, vector, n)
        return _best_of(asked, rows, vector, n)


def _retrieved(asked: Asked, vector: np.ndarray, n: int) -> Int64[np.ndarray, " found"]:
    """The n best of what the index finds and of what it does not have; fewer where an approximate one finds fewer."""
    offer = asked.offer
    found, _ = offer.release.index.candidates(vector[None], n + SLACK)
    retrieved = offer.release.on_sale_rows[found[0][found[0] >= 0]]
    rows = np.concatenate([retrieved, offer.beside])
    scores, error = offer.products(vector[None], rows[None])
    # What is as good as the last may be among what the index left out: of equals it keeps any.
    lowest = scores[0][: len(retrieved)].min() + error[0] if len(retrieved) == n + SLACK else -np.inf
    on_sale = offer.is_on_sale[rows]
    rows, of_rows = rows[on_sale], scores[0][on_sale]
    order = np.lexsort((offer.tie_key[rows], -of_rows))[:n]
    if not len(order) or of_rows[order[-1]] <= lowest:
        return _best_of(asked, offer.on_sale, vector, n)
    return rows[order]


def _best_of(asked: Asked, rows: Int64[np.ndarray, " some"], vector: np.ndarray, n: int) -> Int64[np.ndarray, " found"]:
    """The n best of some rows, by the float32 product."""
    offer = asked.offer
    is_most = 2 * len(rows) > len(offer.is_on_sale)  # then one product of what lies together is faster than a copy
    scores = offer.dots(vector)[rows] if is_most else offer.vectors(rows) @ vector
    places, _ = top_k(scores[None], n, offer.tie_key[rows])
    return rows[places[0][places[0] >= 0]]
