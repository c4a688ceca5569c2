"""The order of a user's rows in time, where the data tells it and where it does not."""

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.hashing import mix_columns
from recsys_pipeline.core.types import Ratings


def time_order(ratings: Ratings, tie_seed: int = 0) -> Int64[np.ndarray, " rows"]:
    """Row numbers by user, then time; rows of one user and instant in an order drawn by `tie_seed`.

    The lot of a row depends on its user, item and time alone. So it stays as days are added, and neither the order of
    rows nor an item's age decides which of the things of one second came last.
    """
    lots = mix_columns(tie_seed, ratings.user, ratings.item, ratings.timestamp_us)
    return np.lexsort((ratings.value, lots, ratings.timestamp_us, ratings.user))
