"""What an evaluation found out about one model: figures per user, lists, and the place of every relevant item."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.rating_metrics import rmse
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces


@dataclass(frozen=True)
class RelevantRows:
    """Every relevant test item of the evaluated users, by user and item, and where the model put it."""

    user: Int32[np.ndarray, " rows"]
    item: Int32[np.ndarray, " rows"]
    value: Float32[np.ndarray, " rows"]
    places: TiedPlaces
    """Where it stands: at any of several places where its score is tied."""


@dataclass(frozen=True)
class RankingResult:
    """What one model did for each evaluated user, kept so that intervals, slices and samples need no second pass."""

    model: str
    ks: tuple[int, ...]
    n_items: int
    columns: tuple[tuple[str, int], ...]
    """(metric, k) of each column of `values`; k is 0 for a metric without a cut-off."""
    users: Int32[np.ndarray, " users"]
    """Evaluated users, ascending."""
    values: Float64[np.ndarray, "users columns"]
    """NaN where a metric is not defined for a user."""
    n_relevant: Int64[np.ndarray, " users"]
    n_candidates: Int64[np.ndarray, " users"]
    """Items that competed for the user: all that were not seen, or the relevant and the given negative ones."""
    rows: RelevantRows
    top: Int32[np.ndarray, "users places"]
    """The list that is shown, best first, equal scores in the order of a hash of the item; −1 where a user has fewer
    candidates than places. Figures do not follow from it but from `rows`."""
    top_scores: Float32[np.ndarray, "users places"]
    """Scores of `top`; −inf where it is −1."""
    coverage: Float64[np.ndarray, " ks"]
    """Share of the catalogue that is shown to at least one evaluated user, per k: the mean over all orders of equal
    scores, each user's drawn apart."""
    tied_places: Float64[np.ndarray, " ks"]
    """Share of a user's first k places whose score another candidate has too, mean over users."""
    n_silent: int
    """Evaluated users of whom the model says nothing: two candidates or more, all with one score."""
    error_users: Int32[np.ndarray, " errors"]
    """User of each test row whose value was predicted; empty where the model does not predict values."""
    errors: Float64[np.ndarray, " errors"]
    """Predicted minus actual value of these rows."""
    n_test_users: int
    """Users with at least one test row; those without a relevant one are not evaluated."""
    n_seen_again: int
    """Relevant test rows left out because the item was excluded for that user: no list could have held it."""
    is_sampled: bool = False
    """Whether only given negatives competed: such figures do not compare with those of a full ranking."""
    prediction_coverage: float = math.nan
    """Share of the test rows whose user and item are both in train, so that more than a mean can be predicted."""

    @property
    def n_users(self) -> int:
        """Evaluated users."""
        return len(self.users)

    def mean(self, metric: str, k: int) -> float:
        """The mean over the users for whom it is defined; NaN where there are none, `SettingError` for another k."""
        if (metric, k) not in self.columns:
            raise SettingError(f"{self.model} was not evaluated at {metric}@{k}: add {k} to ks, which are {self.ks}")
        column = self.values[:, self.columns.index((metric, k))]
        defined = column[~np.isnan(column)]
        return float(defined.mean()) if len(defined) else math.nan

    @property
    def rmse(self) -> float:
        """Root mean squared error over test rows; NaN where the model does not predict values."""
        return rmse(self.errors) if len(self.errors) else math.nan

    def shown_counts(self, k: int) -> Int64[np.ndarray, " items"]:
        """How many evaluated users see each item in their first k places."""
        shown = self.top[:, :k]
        return np.bincount(shown[shown >= 0], minlength=self.n_items)

    def recommended(self, user: int) -> Int32[np.ndarray, " places"]:
        """The list of one evaluated user; raises `DataError` for a user that was not evaluated."""
        row = int(np.searchsorted(self.users, user))
        if row == len(self.users) or self.users[row] != user:
            raise DataError(f"user {user} was not evaluated: it has no relevant test item")
        return self.top[row][self.top[row] >= 0]
