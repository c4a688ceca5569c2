"""How much a list moves when its user does one more thing: a model that listens answers before the next training."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int, Int32, Integer

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.ratings import Ratings, time_order
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.ratios import mean_estimates
from recsys_pipeline.core.reports.accuracy.resampling import N_RESAMPLES, Estimate
from recsys_pipeline.core.reports.lists.churn import jaccard_churn

ListsOf = Callable[[Ratings], np.ndarray]
"""`lists_of(histories) -> [users, places]`: lists of users who are known by these histories, seen items left out."""


def responsiveness(
    before: Integer[np.ndarray, "users places_before"],
    after: Integer[np.ndarray, "users places_after"],
    added: Integer[np.ndarray, " users"],
    ks: Sequence[int],
) -> Float64[np.ndarray, "users ks"]:
    """How much one added event moves a user's list: the Jaccard churn of the first k places without the added item.

    `added[u]` is the item of user u's event. It leaves the list because it is seen now, whatever the model thinks;
    so it is taken out of both lists first, and a model that does not listen has a responsiveness of exactly 0. Give
    lists of at least k + 1 places: a full list that loses its added item would look shorter else.
    """
    return jaccard_churn(_without(before, added), _without(after, added), ks)


def responsiveness_to_latest(
    lists_of: ListsOf, histories: Ratings, ks: Sequence[int]
) -> tuple[Int[np.ndarray, " users"], Float64[np.ndarray, "users ks"]]:
    """Responsiveness of a model to each user's latest event: lists without it against lists with it.

    `lists_of` ranks the users of the histories that it is given (one row per user number) and gives more than max(ks)
    places where the catalogue allows. Users need two rows, because the lists before must come from something. Gives
    the user numbers that had them, and their values. Equal times come in a drawn order. Raises `DataError` where
    `lists_of` gives another number of lists.
    """
    order = time_order(histories)
    is_last = np.append(np.diff(histories.user[order]) != 0, True)[: len(order)]
    latest, n_rows = order[is_last], np.bincount(histories.user, minlength=histories.n_users)
    latest = latest[n_rows[histories.user[latest]] > 1]
    users = histories.user[latest].astype(np.int64)
    if not len(users):
        warnings.warn("no user has two events: responsiveness is undefined and reported as NaN", stacklevel=2)
        return users, np.empty((0, len(ks)))
    kept = np.ones(len(histories), bool)
    kept[latest] = False
    before, after = lists_of(histories.take(kept)), lists_of(histories)
    if len(before) != histories.n_users or len(after) != histories.n_users:
        raise DataError(f"lists_of gave {len(before)} and {len(after)} lists for {histories.n_users} users")
    return users, responsiveness(before[users], after[users], histories.item[latest], ks)


def ranked_lists(model: Recommender, n_places: int) -> ListsOf:
    """The lists of a fitted model over other users, by `for_users`; equal scores go by a hash of the item.

    Scores of all users of the histories are held at once: give a few hundred users.
    """

    def lists_of(histories: Ratings) -> Int32[np.ndarray, "users places"]:
        scores = np.array(model.for_users(histories).scores(np.arange(histories.n_users, dtype=np.int32)))
        scores[histories.user, histories.item] = -np.inf
        ties = mix(np.arange(scores.shape[1], dtype=np.uint64))
        return top_k(scores, n_places, ties)[0].astype(np.int32)

    return lists_of


def responsiveness_estimates(
    models: Mapping[str, Recommender],
    histories: Ratings,
    ks: Sequence[int],
    seed: int,
    n_users: int = 200,
    n_resamples: int = N_RESAMPLES,
) -> list[Estimate]:
    """Mean responsiveness of each model to the latest event of the same `n_users` users, drawn by seed.

    Only the user changes, by folding in; item vectors and counts stay as they were trained (which was with these
    events), so this is what a refresh between two trainings can do.
    """
    if n_users < 1:
        raise SettingError(f"n_users = {n_users}: draw at least one")
    drawn = _sample(histories, n_users, seed)
    values = [responsiveness_to_latest(ranked_lists(model, max(ks) + 1), drawn, ks)[1] for model in models.values()]
    columns = [(name, "responsiveness", k) for name in models for k in ks]
    return mean_estimates(columns, np.concatenate(values, axis=1), seed, n_resamples) if models else []


def _sample(histories: Ratings, n_users: int, seed: int) -> Ratings:
    """The rows of some users with at least two, with users numbered from 0."""
    enough = np.flatnonzero(np.bincount(histories.user, minlength=histories.n_users) > 1)
    users = np.sort(np.random.default_rng(seed).permutation(enough)[:n_users])
    own = histories.take(np.isin(histories.user, users))
    return dataclasses.replace(own, user=np.searchsorted(users, own.user).astype(np.int32), n_users=len(users))


def _without(lists: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Each list without one item: what stood below it moves up."""
    emptied = np.where(lists == items[:, None], -1, lists)
    order = np.argsort(lists == items[:, None], axis=1, kind="stable")
    return np.take_along_axis(emptied, order, axis=1)
