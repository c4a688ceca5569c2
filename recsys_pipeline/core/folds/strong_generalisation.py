"""Strong generalisation: whole users are held out, and known only by a history that is folded into a fitted model.

It asks how a model serves people who came after it was fitted: Marlin, "Modeling user rating profiles for collaborative
filtering", NIPS 2003; the form with a share of each history as the target is that of Liang, Krishnan, Hoffman and
Jebara, "Variational autoencoders for collaborative filtering", WWW 2018, section 4.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.ratings import Ratings, time_order


@dataclass(frozen=True)
class HeldOutUsers:
    """Row numbers: of the users that are learned from, and of the held-out users' histories and targets.

    All rows of one id space: fit on `train`, take `model.for_users(ratings.take(history))`, and evaluate it with the
    history rows as what is known and the test rows as what is to be found.
    """

    train: Int64[np.ndarray, " train_rows"]
    history: Int64[np.ndarray, " history_rows"]
    test: Int64[np.ndarray, " test_rows"]


def strong_generalisation(
    ratings: Ratings, user_share: float, seed: int, target_share: float = 0.2, tie_seed: int = 0
) -> HeldOutUsers:
    """Hold out `user_share` of the users that have two rows or more; of each one, `target_share` of the rows is tested.

    The tested rows are the user's latest, at least one and never all; rows of one instant (and so all rows, where no
    times are known) are drawn by `tie_seed`. The choice does not depend on the order of rows. Items that no training
    user has stay in the test rows: no model can find them from interactions alone, and they count as misses.

    Raises:
        SettingError: a share is outside (0, 1).
        DataError: fewer than two users with two rows, so that none can be held out beside one to learn from.
    """
    for name, share in (("user_share", user_share), ("target_share", target_share)):
        if not 0 < share < 1:
            raise SettingError(f"{name} is {share}: give a share between 0 and 1, both excluded")
    rng = np.random.default_rng(seed)
    n_rows = np.bincount(ratings.user, minlength=ratings.n_users)
    able = np.flatnonzero(n_rows >= 2)
    if len(able) < 2:
        raise DataError(f"{len(able)} users have two rows or more: strong generalisation needs at least two such users")
    n_held_out = min(max(1, round(user_share * len(able))), len(able) - 1)
    held_out = np.zeros(ratings.n_users, bool)
    held_out[rng.choice(able, n_held_out, replace=False)] = True
    is_test = held_out[ratings.user] & _is_among_the_latest(ratings, target_share, tie_seed)
    return HeldOutUsers(
        train=np.flatnonzero(~held_out[ratings.user]),
        history=np.flatnonzero(held_out[ratings.user] & ~is_test),
        test=np.flatnonzero(is_test),
    )


def _is_among_the_latest(ratings: Ratings, share: float, tie_seed: int) -> np.ndarray:
    """Per row, whether it is in the last `share` of its user's rows: at least one, and not all of two or more."""
    order = time_order(ratings, tie_seed)
    n_rows = np.bincount(ratings.user, minlength=ratings.n_users)
    n_targets = np.clip(np.round(share * n_rows), 1, np.maximum(n_rows - 1, 1)).astype(np.int64)
    place = np.arange(len(ratings)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    is_latest = np.empty(len(ratings), bool)
    is_latest[order] = place >= np.repeat(n_rows - n_targets, n_rows)
    return is_latest
