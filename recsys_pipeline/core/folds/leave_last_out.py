"""Leave-last-out: each user's last row is tested; the protocol of most papers, not time-honest across users."""

import numpy as np

from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.folds.prequential import time_order
from recsys_pipeline.core.types import Ratings


def leave_last_out(ratings: Ratings) -> Split:
    """Test each user's latest row (ties: highest item id); users with a single row stay in train whole."""
    order = time_order(ratings)
    user = ratings.user[order]
    is_last = np.r_[user[1:] != user[:-1], True] if len(user) else np.empty(0, bool)
    has_earlier = np.r_[False, user[1:] == user[:-1]] if len(user) else np.empty(0, bool)
    is_test = is_last & has_earlier
    return Split(train=np.sort(order[~is_test]), test=np.sort(order[is_test]))
