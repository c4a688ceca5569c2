"""Full-ranking evaluation: every unseen item competes for every user.

Sampled metrics can reverse the order of models (Krichene and Rendle, "On sampled metrics for item recommendation",
KDD 2020), so reports rank in full. Given negatives are for comparison with papers that used them, and are marked.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Scorer
from recsys_pipeline.core.reports.accuracy.judged import judge
from recsys_pipeline.core.reports.accuracy.list_ties import Competition, TieTally
from recsys_pipeline.core.reports.accuracy.metrics import metric_columns, user_metrics
from recsys_pipeline.core.reports.accuracy.ranking_kernels import (
    Grouped,
    Places,
    device_ranker,
    first_row_not_finite,
    tie_ranks,
)
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult, RelevantRows
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline.core.reports.accuracy.user_rows import UserRows, starts_of

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
    """Rank all items that a user has not seen, for each user with relevant test rows; equal scores in expectation.

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
    seen = UserRows.of(train)
    relevant = UserRows.of(test, relevant_min_value)
    n_seen_again = 0
    if negatives is None:
        relevant, n_seen_again = relevant.without(seen)
    given, ranks = None if negatives is None else UserRows.of(negatives), tie_ranks(test.n_items)
    task = _Task(name, ks, test, seen, relevant, UserRows.with_repeats(test), given, ranks)
    users = np.flatnonzero(task.tested.counts if model.predicts_values else relevant.counts).astype(np.int32)
    batch = batch_users or max(1, BATCH_SCORES // max(1, test.n_items))
    tally = TieTally(task.ks, test.n_items)
    parts = [_rank_batch(model, users[start : start + batch], task, tally) for start in range(0, len(users), batch)]
    return _result(task, users, parts, tally, n_seen_again)


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
    seen: UserRows
    relevant: UserRows
    tested: UserRows
    negatives: UserRows | None
    ranks: Int32[np.ndarray, " items"]
    """Which of equal scores comes first in a list that is shown."""

    @property
    def n_places(self) -> int:
        return min(max(self.ks), self.test.n_items)

    @property
    def n_ranked(self) -> int:
        """A place more than the lists have, where there is one: it tells whether a tie goes on below them."""
        return min(max(self.ks) + 1, self.test.n_items)


@dataclass(frozen=True)
class _Batch:
    places: Places
    n_candidates: Int64[np.ndarray, " users"]
    error_users: Int32[np.ndarray, " errors"]
    errors: Float64[np.ndarray, " errors"]


def _rank_batch(model: Scorer, users: np.ndarray, task: _Task, tally: TieTally) -> _Batch:
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
    among = _all_unseen(scores, users, task) if task.negatives is None else _given(scores, users, task, task.negatives)
    places = device_ranker()(among.scores, among.seen, among.relevant, among.ranks, task.n_ranked)
    judged = np.flatnonzero(task.relevant.counts[users])
    tally.add(among, places, judged)
    return _Batch(places._replace(top=among.items_of(places.top)), among.n_candidates, error_users, errors)


def _all_unseen(scores: np.ndarray, users: np.ndarray, task: _Task) -> Competition:
    seen, n_items = task.seen.grouped(users), task.test.n_items
    n_candidates = n_items - np.diff(seen.starts)
    items = np.arange(n_items, dtype=np.int32)[None]
    return Competition(scores, seen, task.relevant.grouped(users), task.ranks, items, n_candidates)


def _given(scores: np.ndarray, users: np.ndarray, task: _Task, negatives: UserRows) -> Competition:
    """The relevant items and the given negatives: a narrow matrix takes their scores, by rank among ties."""
    (at, rows), (negative_at, negative_rows) = task.relevant.of_users(users), negatives.of_users(users)
    n_items = task.test.n_items
    relevant = at * n_items + task.ranks[task.relevant.items[rows]]
    candidates = np.union1d(relevant, negative_at * n_items + task.ranks[negatives.items[negative_rows]])
    user, rank = np.divmod(candidates, n_items)
    item = np.argsort(task.ranks, kind="stable")[rank].astype(np.int32)
    n_candidates = np.bincount(user, minlength=len(users))
    column = np.arange(len(user)) - np.repeat(np.cumsum(n_candidates) - n_candidates, n_candidates)
    width = max(int(n_candidates.max(initial=0)), task.n_ranked)
    items = np.full((len(users), width), -1, np.int32)
    narrow = np.full((len(users), width), -np.inf, np.float32)
    items[user, column], narrow[user, column] = item, scores[user, item]
    where = column[np.searchsorted(candidates, relevant)].astype(np.int32)
    none_seen = Grouped(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    asked = Grouped(starts_of(at, len(users)), where)
    return Competition(narrow, none_seen, asked, np.arange(width, dtype=np.int32), items, n_candidates)


def _result(task: _Task, users: np.ndarray, parts: list[_Batch], tally: TieTally, n_seen_again: int) -> RankingResult:
    relevant, n_places = task.relevant, task.n_places
    keep = relevant.counts[users] > 0
    if not keep.any():
        warnings.warn(f"{task.name}: no user has a relevant test item; ranking metrics are NaN", stacklevel=3)

    def joined(empty: np.ndarray, arrays: Iterator[np.ndarray]) -> np.ndarray:
        return np.concatenate([empty, *arrays])

    at, rows = relevant.of_users(users[keep])
    places = TiedPlaces(
        joined(np.empty(0, np.int32), (part.places.above for part in parts)),
        joined(np.empty(0, np.int32), (part.places.tied for part in parts)),
    )
    found = RelevantRows(users[keep][at], relevant.items[rows], relevant.values[rows], places)
    n_candidates = joined(np.empty(0, np.int64), (part.n_candidates for part in parts))[keep]
    lists = judge(at, found.value, places, n_candidates, n_places)
    no_lists = np.empty((0, task.n_ranked))
    return RankingResult(
        model=task.name,
        ks=task.ks,
        n_items=task.test.n_items,
        columns=metric_columns(task.ks),
        users=users[keep],
        values=user_metrics(lists, task.ks),
        n_relevant=lists.n_relevant,
        n_candidates=n_candidates,
        rows=found,
        top=joined(no_lists.astype(np.int32), (part.places.top for part in parts))[keep, :n_places],
        top_scores=joined(no_lists.astype(np.float32), (part.places.top_scores for part in parts))[keep, :n_places],
        coverage=tally.coverage(),
        tied_places=tally.tied_places(),
        n_silent=tally.n_silent,
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
