"""The book's prequential rule: each user's test rows are that user's latest, and a global share of all rows is tested.

Test rows are found by rejection sampling: draw any row; reject it if it was drawn before or if it is among the first
`min_train_rows` of its user; otherwise its user gives up the latest row that is still in train. So users give up rows
in proportion to their activity, and not to how recently they were active. The draws only fix how many rows each user
gives up: `prequential` draws those numbers at once, `prequential_by_draws` is the readable twin.

Draws of `prequential` are stable from day to day: a row's lot depends on the seed, its user and its place in the user's
history alone, so that a split of more rows hardly ever tests what an earlier split trained on. A model that goes on
from yesterday's, or is compared with it, would otherwise know a third of the rows that it is tested on.
"""

from collections import defaultdict

import numpy as np

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.hashing import mix_columns
from recsys_pipeline.core.ratings import Ratings, time_order


def prequential(ratings: Ratings, test_share: float, seed: int, min_train_rows: int = 1, tie_seed: int = 0) -> Split:
    """Split by the prequential rule in O(n log n): the `test_share` of all rows with the lowest lots are drawn.

    Per user, no train row is later than a test row, and at least `min_train_rows` rows stay in train. Rows of one
    instant are ordered as `tie_seed` draws it, so that the split does not depend on the order of rows.

    Raises:
        SettingError: `test_share` is outside (0, 1).
    """
    _check(test_share)
    order = time_order(ratings, tie_seed)
    age_rank = _rank_within_user(ratings.user[order])
    spare = np.flatnonzero(age_rank >= min_train_rows)
    n_test = min(round(test_share * len(ratings)), len(spare))
    lots = mix_columns(seed, ratings.user[order][spare], age_rank[spare])
    drawn = spare[np.argsort(lots, kind="stable")[:n_test]]
    given_up = np.bincount(ratings.user[order][drawn], minlength=ratings.n_users)
    rows_of_user = np.bincount(ratings.user, minlength=ratings.n_users)
    is_test = age_rank >= (rows_of_user - given_up)[ratings.user[order]]
    return Split(train=np.sort(order[~is_test]), test=np.sort(order[is_test]))


def prequential_by_draws(
    ratings: Ratings, test_share: float, seed: int, min_train_rows: int = 1, tie_seed: int = 0
) -> Split:
    """Readable twin of `prequential`: rejection sampling, one draw at a time, and O(n²) at worst."""
    _check(test_share)
    rng = np.random.default_rng(seed)
    histories: dict[int, list[int]] = defaultdict(list)
    for row in time_order(ratings, tie_seed):
        histories[int(ratings.user[row])].append(int(row))
    spare = {row for rows in histories.values() for row in rows[min_train_rows:]}
    drawn: set[int] = set()
    test: list[int] = []
    while len(test) < min(round(test_share * len(ratings)), len(spare)):
        row = int(rng.integers(len(ratings)))
        if row in spare and row not in drawn:
            drawn.add(row)
            test.append(histories[int(ratings.user[row])].pop())
    train = sorted(row for rows in histories.values() for row in rows)
    return Split(train=np.array(train, np.int64), test=np.array(sorted(test), np.int64))


def _rank_within_user(sorted_user: np.ndarray) -> np.ndarray:
    starts = np.flatnonzero(np.r_[True, sorted_user[1:] != sorted_user[:-1]]) if len(sorted_user) else np.empty(0, int)
    lengths = np.diff(np.r_[starts, len(sorted_user)])
    return np.arange(len(sorted_user)) - np.repeat(starts, lengths)


def _check(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise SettingError(f"test_share is {test_share}: give a share between 0 and 1, both excluded")
