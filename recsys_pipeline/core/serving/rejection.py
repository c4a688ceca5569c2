"""Items that most of those who know them turned from: recommended to nobody."""

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.ratings import Ratings

Z = 1.96
"""Two-sided 95%."""
MOST = 0.5


def rejected_items(known: Ratings, avoided: Ratings) -> Int64[np.ndarray, " rejected"]:
    """Items of which the share of users with an aversion, among all who told, is above a half beyond chance.

    By the lower bound of Wilson's interval, "Probable inference, the law of succession, and statistical inference",
    JASA 1927: four of four users suffice, three do not, so that one user hides an item from nobody else.

    >>> users, times = np.arange(5, dtype=np.int32), np.zeros(5, np.int64)
    >>> items = np.array([0, 0, 0, 0, 1], np.int32)
    >>> averse = Ratings(users, items, np.ones(5, np.float32), times, n_users=5, n_items=2)
    >>> rejected_items(averse.take(np.array([], int)), averse).tolist()
    [0]
    """
    no = np.bincount(avoided.item, minlength=avoided.n_items).astype(np.float64)
    n = no + np.bincount(known.item, minlength=known.n_items)
    share = no / np.maximum(n, 1)
    spread = Z * np.sqrt(share * (1 - share) * n + Z * Z / 4)
    return np.flatnonzero((no + Z * Z / 2 - spread) / (n + Z * Z) > MOST)
