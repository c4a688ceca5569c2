"""K-fold cross-validation over rows, for comparison with papers that report RMSE; it ignores time."""

import numpy as np

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.ratings import Ratings


def k_fold(ratings: Ratings, n_folds: int, seed: int) -> list[Split]:
    """Divide all rows into `n_folds` random test parts whose sizes differ by at most one.

    Raises:
        SettingError: fewer than 2 folds, or more folds than rows.
    """
    if not 2 <= n_folds <= len(ratings):
        raise SettingError(f"n_folds is {n_folds}: give 2 to {len(ratings)}, the number of rows")
    shuffled = np.random.default_rng(seed).permutation(len(ratings))
    parts = np.array_split(shuffled, n_folds)
    return [
        Split(train=np.sort(np.concatenate(parts[:fold] + parts[fold + 1 :])), test=np.sort(parts[fold]))
        for fold in range(n_folds)
    ]
