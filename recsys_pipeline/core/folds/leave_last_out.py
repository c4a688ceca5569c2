"""Leave-last-out: each user's last row is tested; the protocol of most papers, not time-honest across users."""

import numpy as np

from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.ratings import Ratings, time_order


def leave_last_out(ratings: Ratings, tie_seed: int = 0) -> Split:
    """Test each user's latest row (of one instant, the one that `tie_seed` draws); users with one row stay in train."""
    order = time_order(ratings, tie_seed)
    user = ratings.user[order]
    is_last = np.r_[user[1:] != user[:-1], True] if len(user) else np.empty(0, bool)
    has_earlier = np.r_[False, user[1:] == user[:-1]] if len(user) else np.empty(0, bool)
    is_test = is_last & has_earlier
    return Split(train=np.sort(order[~is_test]), test=np.sort(order[is_test]))
