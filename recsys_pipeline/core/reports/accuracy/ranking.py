"""Full-ranking evaluation: every unseen item competes for every user.

Sampled metrics can reverse the order of models (Krichene and Rendle, "On sampled metrics for item recommendation",
KDD 2020), so reports rank in full. Given negatives are for comparison with papers that used them, and are marked.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.models import Scorer
from recsys_pipeline.core.reports.accuracy.metrics import Judged, catalogue_coverage, metric_columns, user_metrics
from recsys_pipeline.core.reports.accuracy.ranking_kernels import Grouped, Places, device_ranker, first_row_not_finite
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult, RelevantRows
from recsys_pipeline.core.types import Ratings

DEFAULT_KS = (10, 20, 100)
BATCH_SCORES = 5_000_000
"""Scores held at once by default (20 MB): memory of this size is handed out again and again, which makes the matrix
product twice as fast as with 84 MB (2 cores, 64 factors)."""


def evaluate_ranking(
    model: Scorer,
    train: Ratings,
    test: Ratings,
    ks: Sequence[int] = DEFAULT_KS,
    relevant_min_value: float | None = None,
    batch_users: int | None = None,
    name: str | None = None,
    negatives: Ratings | None = None,
) -> RankingResult:
    """Rank all items that a user has not seen, for each user with relevant test rows.

    Seen means in `train`: hand in the validation rows with it. A test row is relevant where its value is at least
    `relevant_min_value` (every row where that is None); a pair that is tested twice counts once, with its highest
    value. Users without a relevant row are not evaluated; without any such user every mean is NaN, with a warning.
    Errors of predicted values cover all test rows. With `negatives` (their values and times do not matter) only these
    and the relevant items of a user compete, whether seen or not; a negative that is relevant is left out.

    Raises `ModelError` naming model and user where a score is not finite, `SettingError` for a bad k, `DataError`
    where the folds do not share one id space. Time and memory grow with users × items and batch size; for Gowalla
    (29,858 × 40,981) see `bench_ranking`.
    """
    ks = tuple(ks)
    if not ks or min(ks) < 1 or len(set(ks)) != len(ks):
        raise SettingError(f"ks = {ks}: give distinct cut-offs, each 1 or more")
    name = name or type(model).__name__
    for other in [test] if negatives is None else [test, negatives]:
        _check_sizes(train, other)
    seen = _Rows.of(train)
    relevant = _Rows.of(test, relevant_min_value)
    n_seen_again = 0
    if negatives is None:
        relevant, n_seen_again = relevant.without(seen)
    task = _Task(name, ks, test, seen, relevant, _by_user(test), None if negatives is None else _Rows.of(negatives))
    users = np.flatnonzero(task.tested.counts if model.predicts_values else relevant.counts).astype(np.int32)
    batch = batch_users or max(1, BATCH_SCORES // max(1, test.n_items))
    parts = [_rank_batch(model, users[start : start + batch], task) for start in range(0, len(users), batch)]
    return _result(task, users, parts, n_seen_again)


@dataclass(frozen=True)
class _Rows:
    """Rows grouped by user (compressed sparse rows): those of user u are `starts[u]` to `starts[u + 1]`."""

    starts: Int64[np.ndarray, " users_and_end"]
    items: Int32[np.ndarray, " rows"]
    values: Float32[np.ndarray, " rows"]
    n_items: int

    @classmethod
    def of(cls, ratings: Ratings, min_value: float | None = None) -> "_Rows":
        """Distinct pairs by user and item, each with its highest value; values below `min_value` are left out."""
        keep = np.arange(len(ratings)) if min_value is None else np.flatnonzero(ratings.value >= min_value)
        pairs = ratings.user[keep].astype(np.int64) * ratings.n_items + ratings.item[keep]
        order = np.lexsort((-ratings.value[keep], pairs))
        pairs, first = np.unique(pairs[order], return_index=True)
        return cls._of_pairs(pairs, ratings.value[keep][order][first], ratings.n_users, ratings.n_items)

    @classmethod
    def _of_pairs(cls, pairs: np.ndarray, values: np.ndarray, n_users: int, n_items: int) -> "_Rows":
        user, item = np.divmod(pairs, max(n_items, 1))
        return cls(_starts(user, n_users), item.astype(np.int32), values, n_items)

    @property
    def counts(self) -> Int64[np.ndarray, " users"]:
        return np.diff(self.starts)

    @property
    def pairs(self) -> Int64[np.ndarray, " rows"]:
        """One number per (user, item), ascending."""
        return np.repeat(np.arange(len(self.counts)), self.counts) * self.n_items + self.items

    def without(self, others: "_Rows") -> tuple["_Rows", int]:
        """The pairs that are not among `others`, and how many that took away."""
        left = ~np.isin(self.pairs, others.pairs, assume_unique=True)
        rest = self._of_pairs(self.pairs[left], self.values[left], len(self.counts), self.n_items)
        return rest, int((~left).sum())

    def of_users(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(position of the user in `users`, row) of every row of these users."""
        counts = self.counts[users]
        at = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        return at, np.repeat(self.starts[users], counts) + within

    def grouped(self, users: np.ndarray) -> Grouped:
        """The items of these users alone."""
        at, rows = self.of_users(users)
        return Grouped(_starts(at, len(users)), self.items[rows])


def _starts(user: np.ndarray, n_users: int) -> Int64[np.ndarray, " users_and_end"]:
    return np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users))]).astype(np.int64)


def _by_user(test: Ratings) -> _Rows:
    """All test rows by user, repeated pairs included: each is predicted."""
    order = np.argsort(test.user, kind="stable")
    return _Rows(_starts(test.user, test.n_users), test.item[order], test.value[order], test.n_items)


def _check_sizes(train: Ratings, other: Ratings) -> None:
    if (train.n_users, train.n_items) != (other.n_users, other.n_items):
        raise DataError(
            f"folds differ in size: {train.n_users} × {train.n_items} against {other.n_users} × {other.n_items}; "
            "cut all folds from one snapshot"
        )


@dataclass(frozen=True)
class _Task:
    """What a model is asked, the same for all its batches of users."""

    name: str
    ks: tuple[int, ...]
    test: Ratings
    seen: _Rows
    relevant: _Rows
    tested: _Rows
    negatives: _Rows | None

    @property
    def n_places(self) -> int:
        return min(max(self.ks), self.test.n_items)


@dataclass(frozen=True)
class _Batch:
    places: Places
    n_candidates: Int64[np.ndarray, " users"]
    error_users: Int32[np.ndarray, " errors"]
    errors: Float64[np.ndarray, " errors"]


def _rank_batch(model: Scorer, users: np.ndarray, task: _Task) -> _Batch:
    scores = np.ascontiguousarray(model.scores(users))
    if scores.shape != (len(users), task.test.n_items):
        raise ModelError(
            f"{task.name}: scores of shape {scores.shape} for {len(users)} users and {task.test.n_items} items"
        )
    if (row := first_row_not_finite(scores)) >= 0:
        raise ModelError(
            f"{task.name}: a score of user {users[row]} is not finite; lower the learning rate or raise reg"
        )
    error_users, errors = np.empty(0, np.int32), np.empty(0, np.float64)
    if model.predicts_values:
        at, rows = task.tested.of_users(users)
        errors = scores[at, task.tested.items[rows]].astype(np.float64) - task.tested.values[rows]
        error_users = users[at]
    if task.negatives is not None:
        return _Batch(*_rank_given(scores, users, task, task.negatives), error_users, errors)
    seen = task.seen.grouped(users)
    places = device_ranker()(scores, seen, task.relevant.grouped(users), task.n_places)
    return _Batch(places, task.test.n_items - np.diff(seen.starts), error_users, errors)


def _rank_given(scores: np.ndarray, users: np.ndarray, task: _Task, negatives: _Rows) -> tuple[Places, np.ndarray]:
    """Rank the relevant items among the given negatives: a narrow matrix of candidates, by item, takes all scores."""
    (at, rows), (negative_at, negative_rows) = task.relevant.of_users(users), negatives.of_users(users)
    n_items = task.test.n_items
    relevant = at * n_items + task.relevant.items[rows]
    candidates = np.union1d(relevant, negative_at * n_items + negatives.items[negative_rows])
    user, item = np.divmod(candidates, n_items)
    n_candidates = np.bincount(user, minlength=len(users))
    column = np.arange(len(user)) - np.repeat(np.cumsum(n_candidates) - n_candidates, n_candidates)
    width = max(int(n_candidates.max(initial=0)), task.n_places)
    items = np.full((len(users), width), -1, np.int32)
    narrow = np.full((len(users), width), -np.inf, np.float32)
    items[user, column], narrow[user, column] = item, scores[user, item]
    where = column[np.searchsorted(candidates, relevant)].astype(np.int32)
    none_seen = Grouped(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    places = device_ranker()(narrow, none_seen, Grouped(_starts(at, len(users)), where), task.n_places)
    top = np.where(places.top >= 0, np.take_along_axis(items, np.maximum(places.top, 0), axis=1), np.int32(-1))
    return places._replace(top=top), n_candidates


def _result(task: _Task, users: np.ndarray, parts: list[_Batch], n_seen_again: int) -> RankingResult:
    relevant, n_places = task.relevant, task.n_places
    keep = relevant.counts[users] > 0
    if not keep.any():
        warnings.warn(f"{task.name}: no user has a relevant test item; ranking metrics are NaN", stacklevel=3)

    def joined(empty: np.ndarray, arrays: Iterator[np.ndarray]) -> np.ndarray:
        return np.concatenate([empty, *arrays])

    at, rows = relevant.of_users(users[keep])
    found = RelevantRows(
        user=users[keep][at],
        item=relevant.items[rows],
        value=relevant.values[rows],
        place=joined(np.empty(0, np.int32), (part.places.place for part in parts)),
        mid_place=joined(np.empty(0), (part.places.mid_place for part in parts)),
    )
    n_relevant = relevant.counts[users[keep]].astype(np.int64)
    n_candidates = joined(np.empty(0, np.int64), (part.n_candidates for part in parts))[keep]
    top = joined(np.empty((0, n_places), np.int32), (part.places.top for part in parts))[keep]
    return RankingResult(
        model=task.name,
        ks=task.ks,
        n_items=task.test.n_items,
        columns=metric_columns(task.ks),
        users=users[keep],
        values=user_metrics(_judged(found, at, n_relevant, n_candidates, n_places), task.ks),
        n_relevant=n_relevant,
        n_candidates=n_candidates,
        rows=found,
        top=top,
        top_scores=joined(np.empty((0, n_places), np.float32), (part.places.top_scores for part in parts))[keep],
        coverage=catalogue_coverage(top, task.test.n_items, task.ks) if keep.any() else np.full(len(task.ks), np.nan),
        error_users=joined(np.empty(0, np.int32), (part.error_users for part in parts)),
        errors=joined(np.empty(0), (part.errors for part in parts)),
        n_test_users=int((task.tested.counts > 0).sum()),
        n_seen_again=n_seen_again,
        is_sampled=task.negatives is not None,
        prediction_coverage=_prediction_coverage(task),
    )


def _prediction_coverage(task: _Task) -> float:
    """NaN without a test row."""
    known_items = np.bincount(task.seen.items, minlength=task.test.n_items) > 0
    known = (task.seen.counts[task.test.user] > 0) & known_items[task.test.item]
    return float(known.mean()) if len(known) else math.nan


def _judged(
    rows: RelevantRows, at: np.ndarray, n_relevant: np.ndarray, n_candidates: np.ndarray, n_places: int
) -> Judged:
    """Hits and gains by place, from the places of the relevant rows; `at` is each row's position among the users."""
    gains, hits, ideal = (np.zeros((len(n_relevant), n_places), kind) for kind in (np.float64, bool, np.float64))
    shown = rows.place <= n_places
    hits[at[shown], rows.place[shown] - 1] = True
    gains[at[shown], rows.place[shown] - 1] = np.maximum(rows.value[shown], 0)
    order = np.lexsort((-rows.value, at))
    rank = np.arange(len(at)) - np.repeat(np.cumsum(n_relevant) - n_relevant, n_relevant)
    best = order[rank < n_places]
    ideal[at[best], rank[rank < n_places]] = np.maximum(rows.value[best], 0)
    return Judged(hits, gains, ideal, n_relevant, n_candidates, at, rows.place, rows.mid_place)
