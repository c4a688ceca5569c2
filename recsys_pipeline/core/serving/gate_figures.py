"""What the gate judges a release by: accuracy against the champion on the same test rows, lists, vectors, the day."""

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64, Integer

from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.neighbors.tuning import Clock
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Scorer
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import paired_differences, ranking_estimates
from recsys_pipeline.core.serving.calibration import REFERENCE_MS, calibration_work
from recsys_pipeline.core.serving.gate_likeness import lengths, likeness
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import Gap, GateFigures
from recsys_pipeline.core.serving.recommend import Recommendations, recommend
from recsys_pipeline.core.serving.release import Release

QUANTILE = 0.99
TIMED_AGAIN = 3
"""Times that each list is timed; the quickest counts."""


@dataclass(frozen=True)
class Trial:
    """A release before the gate, with everything that it is judged on."""

    release: Release
    fold: Fold
    """The day's: the model was fitted on train and validation, and test decides."""
    popularity: Scorer
    """Fitted on the same rows."""
    event_users: Integer[np.ndarray, " events"]
    """Who made each of the day's events, impressions left out; −1 for users that the release does not know."""
    champion: Release | None = None
    best: Release | None = None
    """The best that was promoted within the days that count."""
    best_day: str = ""
    """Its day, also where its files are gone."""
    drifted: tuple[str, ...] = ()


def measure(trial: Trial, limits: GateLimits, seed: int, clock: Clock = time.perf_counter) -> GateFigures:
    """Every figure that the gate asks for; only the latency depends on the machine."""
    release, known, test = trial.release, trial.fold.train_and_validation, trial.fold.test
    candidate = _ranked(release.model, known, test)
    ndcg = next(row for row in ranking_estimates(candidate, seed) if (row.metric, row.k) == (PRIMARY_METRIC, PRIMARY_K))
    versus_champion, left_out, _ = _against(trial.champion, trial, seed)
    versus_best, _, best_ndcg = _against(trial.best, trial, seed)
    lists = _lists(release, limits, seed)
    shares = [largest_share(users[users >= 0]) for users in (trial.event_users, trial.fold.test.user)]
    return GateFigures(
        day=release.day,
        ndcg=ndcg.value,
        ndcg_low=ndcg.low,
        ndcg_high=ndcg.high,
        n_users=candidate.n_users,
        versus_popularity=_gap(candidate, _ranked(trial.popularity, known, test), seed),
        versus_champion=versus_champion,
        rows_left_out=left_out,
        versus_best=versus_best,
        best_day=trial.best_day,
        best_ndcg=best_ndcg,
        likeness=likeness(trial.champion, release, lists, seed) if trial.champion else None,
        drifted=trial.drifted,
        recall=release.index.report.recall,
        events_share=shares[0][0],
        events_of_user=shares[0][1],
        test_share=shares[1][0],
        test_rows_of_user=shares[1][1],
        **_list_figures(release, lists),
        **_vector_figures(release),
        unlike_judged=unlike_judged(release, lists.user_ids),
        latency_p99_ms=latency_p99_ms(release, limits.timed_users, seed, clock),
    )


# -- accuracy ---------------------------------------------------------------------------------------------------------


def _against(other: Release | None, trial: Trial, seed: int) -> tuple[Gap | None, int, float]:
    """The gap to an earlier release on the rows that neither model was fitted on, how many that leaves out, and the
    other's NDCG@10 on those rows.

    Both play as they would serve: users folded in on what is known, against the vectors of items that were judged.
    """
    if other is None:
        return None, 0, math.nan
    known, numbers = trial.fold.train_and_validation, Numbers.of(other, trial.release)
    test, left_out = without_fitted(trial.fold.test, other, numbers)
    own = _ranked(trial.release.model.for_users(known), known, test)
    its = _ranked(as_it_would_serve(other, known, numbers), known, test)
    return _gap(own, its, seed), left_out, its.mean(PRIMARY_METRIC, PRIMARY_K)


@dataclass(frozen=True)
class Numbers:
    """The numbers that a champion has for today's users and items; −1 for those that came later.

    They are found by id. Usually they are the same, since an id keeps its number; not so where somebody made an earlier
    snapshot again from other events.
    """

    user: Int64[np.ndarray, " users"]
    item: Int64[np.ndarray, " items"]

    @classmethod
    def of(cls, champion: Release, release: Release) -> "Numbers":
        """From both releases' ids; an item that the champion's model does not have counts as unknown."""
        user = champion.user_rows(release.users.all_ids().to_numpy())
        item = champion.item_rows(release.items.all_ids().to_numpy()[: release.n_items])
        return cls(user, np.where(item < champion.n_items, item, -1))


def without_fitted(test: Ratings, champion: Release, numbers: Numbers) -> tuple[Ratings, int]:
    """The test rows whose pair the champion was not fitted on, and how many that leaves out."""
    histories = champion.histories
    fitted = histories.everything().take(np.flatnonzero(histories.fitted))
    user, item = numbers.user[test.user], numbers.item[test.item]
    seen = (user >= 0) & (item >= 0) & np.isin(_pairs(user, item), _pairs(fitted.user, fitted.item))
    return test.take(~seen), int(seen.sum())


def _pairs(user: Integer[np.ndarray, " rows"], item: Integer[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    return user.astype(np.int64) << 32 | item


@dataclass(frozen=True)
class OlderModel:
    """A model among today's items: it can recommend none that it does not know."""

    model: Scorer
    item: Int64[np.ndarray, " items"]
    """Its number for each of today's items."""
    predicts_values: bool = False

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The model's scores, and below all of them those of items that it does not know."""
        known = np.flatnonzero(self.item >= 0)
        scores = np.full((len(users), len(self.item)), np.finfo(np.float32).min, np.float32)
        scores[:, known] = self.model.scores(users)[:, self.item[known]]
        return scores


def as_it_would_serve(champion: Release, known: Ratings, numbers: Numbers) -> OlderModel:
    """The champion's fitted model with today's users folded in on what is known now of items that it knows."""
    rows = known.take(numbers.item[known.item] >= 0)
    item = numbers.item[rows.item].astype(np.int32)
    histories = dataclasses.replace(rows, item=item, n_items=champion.n_items)
    return OlderModel(champion.model.for_users(histories), numbers.item)


def _ranked(model: Any, known: Ratings, test: Ratings) -> RankingResult:
    """`Any`, because to type checkers a property is no `Scorer.predicts_values`."""
    return evaluate_ranking(model, known, test, (PRIMARY_K,))


def _gap(candidate: RankingResult, other: RankingResult, seed: int) -> Gap:
    rows = paired_differences(candidate, other, seed)
    row = next(row for row in rows if (row.metric, row.k) == (PRIMARY_METRIC, PRIMARY_K))
    return Gap(row.value, row.low, row.high, row.p_value, row.n)


# -- lists and vectors ------------------------------------------------------------------------------------------------


def _sample(release: Release, n: int, seed: int) -> list[str]:
    rows = np.random.default_rng(seed).permutation(release.n_users)[:n]
    return release.users.ids(np.sort(rows)).to_pylist()


def _lists(release: Release, limits: GateLimits, seed: int) -> Recommendations:
    return recommend(release, None, _sample(release, limits.sampled_users, seed), release.config.k)


def _list_figures(release: Release, lists: Recommendations) -> dict[str, Any]:
    k, users, filled = release.config.k, len(lists.user_ids), lists.item_ids != ""
    could_show = min(len(release.on_sale_rows), k * users)
    complete = filled.sum(axis=1) >= _could_hold(release, lists.user_ids, k)
    return {
        "sampled_users": users,
        "coverage": len(np.unique(lists.item_ids[filled].astype(str))) / could_show if could_show else math.nan,
        "one_list": min(k / could_show, 1.0) if could_show else math.nan,
        "full_lists": float(complete.mean()) if users else math.nan,
        "empty_lists": float((~filled.any(axis=1)).mean()) if users else math.nan,
    }


def _could_hold(release: Release, users: list[str], k: int) -> Int64[np.ndarray, " users"]:
    """Places that each user's list could fill: not more than what is on sale, less what the user is not shown."""
    user, item = release.withheld(release.user_rows(users))
    hidden = np.bincount(user[release.on_sale[item]], minlength=len(users))
    return np.minimum(k, len(release.on_sale_rows) - hidden)


def _vector_figures(release: Release) -> dict[str, Any]:
    of_users, of_items = (np.isfinite(one).all(axis=1) for one in (release.user_vectors, release.item_vectors))
    norms = lengths(release.item_vectors[of_items])
    return {
        "n_not_finite": int((~of_users).sum() + (~of_items).sum()),
        "item_norm_median": float(np.median(norms)) if len(norms) else math.nan,
        "item_norm_max": float(norms.max()) if len(norms) else math.nan,
    }


def unlike_judged(release: Release, users: list[str]) -> float:
    """By how much of its length a served vector differs from what the judged model gives: its own of the items that it
    learned, and of users what folding in makes of everything that is known of them. NaN where one is not finite."""
    rows, learned = release.user_rows(users), np.flatnonzero(release.learned[: release.n_items])
    folded = release.model.fold_in(release.history(rows))
    pairs = ((release.user_vectors[rows], folded),)
    pairs += ((release.item_vectors[learned], release.model.item_vectors()[learned]),)
    return max((_difference(*pair) for pair in pairs), key=lambda found: (math.isnan(found), found))


def _difference(served: Float32[np.ndarray, "n dim"], judged: Float32[np.ndarray, "n dim"]) -> float:
    length = np.maximum(np.linalg.norm(judged, axis=1), np.finfo(np.float32).tiny)
    return float((np.linalg.norm(served - judged, axis=1) / length).max(initial=0.0))


def latency_p99_ms(release: Release, n_users: int, seed: int, clock: Clock) -> float:
    """99th percentile over users of the time to make one list, in milliseconds of the reference machine; NaN without.

    Each list is made `TIMED_AGAIN` times with a fixed piece of work beside it, and of both the quickest time counts: a
    moment's load is left out, and a machine that is slow throughout slows both. The first list, which opens the files,
    is not timed.
    """
    users = _sample(release, n_users, seed)
    if not users:
        return math.nan
    recommend(release, None, users[:1], release.config.k)
    calibration_work()
    lists, works = np.empty((TIMED_AGAIN, len(users))), np.empty((TIMED_AGAIN, len(users)))
    for again in range(TIMED_AGAIN):
        for at, user in enumerate(users):
            start = clock()
            recommend(release, None, [user], release.config.k)
            between = clock()
            calibration_work()
            lists[again, at], works[again, at] = between - start, clock() - between
    slowest, work = np.quantile(lists.min(axis=0), QUANTILE), works.min(axis=0).mean()
    return REFERENCE_MS * float(slowest / work)


# -- the day ----------------------------------------------------------------------------------------------------------


def largest_share(users: Integer[np.ndarray, " rows"]) -> tuple[float, int]:
    """Share and number of the rows of the user who has most; nothing of nothing."""
    if not len(users):
        return 0.0, 0
    most = int(np.bincount(users).max())
    return most / len(users), most
