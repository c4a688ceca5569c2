"""ε-greedy exploration: with a small chance a place shows one of the candidates at random, and the log says how small.

Each place from `first` on is decided in turn. With probability 1 − ε it shows what stands there; with ε, one of the m
candidates that are left, evenly. So what stands there has the propensity 1 − ε + ε/m, every other one ε/m, given the
places above: Langford, Strehl and Wortman, "Exploration scavenging", ICML 2008, for why the log must hold it.
"""

from dataclasses import dataclass

import numpy as np

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import Slate, part


@part("explore")
@dataclass(frozen=True)
class Explore:
    """Draws depend on the policy's seed and the request's id alone."""

    share: float = setting(0.1, "ε: how often a place explores.", ge=0, le=1)
    first: int = setting(1, "The first place that may explore, counted from 1.", ge=1)
    pool: int = setting(50, "How many of the best candidates it draws from.", ge=2)

    __post_init__ = check_settings

    def order(self, asked: Asked, slate: Slate) -> Slate:
        """With some places drawn."""
        k, pool = min(asked.request.k, len(slate.rows)), min(self.pool, len(slate.rows))
        order, propensity = list(range(len(slate.rows))), slate.propensity.copy()
        coins, dice = asked.draws("explore", k), asked.draws("explored", k)
        for place in range(self.first - 1, min(k, pool)):
            left = pool - place
            drawn = place + int(dice[place] * left) if coins[place] < self.share else place
            order.insert(place, order.pop(drawn))
            propensity[place] *= self.share / left + (1 - self.share if drawn == place else 0)
        taken = slate.take(np.array(order, np.int64))
        return Slate(taken.rows, taken.scores, propensity)
