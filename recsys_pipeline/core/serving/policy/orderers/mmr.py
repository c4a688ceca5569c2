"""Maximal marginal relevance: each place takes what is good and unlike what stands above it.

Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing summaries",
SIGIR 1998: argmax λ·relevance − (1 − λ)·max similarity to what is chosen. Scores are brought to [0, 1] within the
pool, so that λ means the same for every model; likeness is the cosine of the items' vectors.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import Slate, part


@part("mmr")
@dataclass(frozen=True)
class Mmr:
    """Arranges the best `pool` candidates; those below follow as they are."""

    relevance: float = setting(0.9, "λ: 1 leaves the order as it is, 0 looks at likeness alone.", ge=0, le=1)
    pool: int = setting(50, "How many of the best are arranged.", ge=1)

    __post_init__ = check_settings

    def order(self, asked: Asked, slate: Slate) -> Slate:
        """Arranged as far as the list goes."""
        pool = min(self.pool, len(slate.rows))
        if pool < 2 or self.relevance == 1:
            return slate
        vectors = asked.offer.unit_vectors(slate.rows[:pool])
        chosen = greedy(_scaled(slate.scores[:pool]), vectors @ vectors.T, self.relevance, asked.request.k)
        is_left = np.ones(len(slate.rows), bool)
        is_left[chosen] = False
        return slate.take(np.concatenate([chosen, np.flatnonzero(is_left)]))


def greedy(
    scores: Float32[np.ndarray, " pool"], likeness: Float32[np.ndarray, "pool pool"], relevance: float, k: int
) -> Int64[np.ndarray, " chosen"]:
    """The k places that MMR takes, in order; of equals the first."""
    gain = relevance * scores
    nearest = np.full(len(scores), -np.inf, np.float32)
    chosen: list[int] = []
    for _ in range(min(k, len(scores))):
        worth = gain if not chosen else gain - (1 - relevance) * nearest
        best = int(np.argmax(worth))
        chosen.append(best)
        gain[best] = -np.inf
        nearest = np.maximum(nearest, likeness[best])
    return np.array(chosen, np.int64)


def _scaled(scores: Float32[np.ndarray, " pool"]) -> Float32[np.ndarray, " pool"]:
    """From 0 to 1; all 1 where they are equal."""
    spread = scores.max() - scores.min()
    return np.ones(len(scores), np.float32) if spread == 0 else (scores - scores.min()) / spread
