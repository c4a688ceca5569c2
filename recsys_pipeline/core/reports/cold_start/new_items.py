"""What people chose of a day's new items, predicted with nothing but what came before the day.

New is an item without any interaction before the day: a factorisation has no vector for it, and popularity has nothing
to count. Every way to place such items is judged twice: among the new items alone, which says whether it tells them
apart, and in the full catalogue, which says whether it places them high enough to be seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from jaxtyping import Bool, Float32, Int32

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart, ItemSpace, fit_cold_start
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures
from recsys_pipeline.core.models.popularity import PopularityConfig
from recsys_pipeline.core.models.popularity import fit as fit_popularity
from recsys_pipeline.core.models.random import RandomConfig, RandomModel
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import HasVectors, Scorer
from recsys_pipeline.core.reports.accuracy.day_by_day import KnownUntil
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.time import Window, microseconds

AMONG_NEW, FULL = "among new items", "in the full catalogue"
PLACEMENTS = (AMONG_NEW, FULL)


@dataclass(frozen=True)
class NewItemsDay:
    """What was known before a day, and what known users chose on it of the items that were new."""

    known: Ratings
    """In the item space of the snapshot."""
    test: Ratings
    """In the item space of the catalogue, as `is_new`: items that nobody has seen come after the snapshot's."""
    is_new: Bool[np.ndarray, " items"]

    @property
    def train(self) -> Ratings:
        """What was known, in the item space of the catalogue."""
        return replace(self.known, n_items=len(self.is_new))

    def among_new(self) -> tuple[Ratings, Int32[np.ndarray, " new"]]:
        """The test rows with the new items alone as the item space, and which items these are."""
        items = np.flatnonzero(self.is_new).astype(np.int32)
        place = np.full(len(self.is_new), -1, np.int32)
        place[items] = np.arange(len(items))
        return replace(self.test, item=place[self.test.item], n_items=len(items)), items


def new_items_day(known: KnownUntil, day: date, n_items: int) -> NewItemsDay:
    """Cut one day off: known is what was known when it began, tested are pairs of known users with new items.

    Raises `DataError` where `n_items`, those of the catalogue, are fewer than the snapshot's.
    """
    window = Window.of_day(day)
    before, after = known(window), known(Window.of_day(day + timedelta(days=1)))
    if n_items < before.n_items:
        raise DataError(f"features of {n_items} items, a snapshot of {before.n_items}: give every item of both a row")
    is_new = np.bincount(before.item, minlength=n_items) == 0
    has_history = np.bincount(before.user, minlength=before.n_users) > 0
    is_today = after.timestamp_us >= microseconds(window.start)
    test = after.take(is_today & is_new[after.item] & has_history[after.user])
    return NewItemsDay(before, replace(test, n_items=n_items), is_new)


class VectorScorer:
    """Dot products of users' and items' vectors."""

    predicts_values = False

    def __init__(
        self, user_vectors: Float32[np.ndarray, "users dim"], item_vectors: Float32[np.ndarray, "items dim"]
    ) -> None:
        self.user_vectors, self.item_vectors = user_vectors, item_vectors

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """See `Scorer`."""
        return self.user_vectors[users] @ self.item_vectors.T


class AmongNew:
    """A scorer of the new items only. Equal scores, as of a category's new items, are judged in expectation."""

    predicts_values = False

    def __init__(self, scorer: Scorer, items: Int32[np.ndarray, " items"]) -> None:
        self.scorer, self.items = scorer, items

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """See `Scorer`."""
        return self.scorer.scores(users)[:, self.items]


def placing(
    model: HasVectors, features: ItemFeatures, day: NewItemsDay, config: ColdStartConfig, seed: int
) -> tuple[dict[str, Scorer], ColdStart]:
    """Every way to place new items: random, popularity, and the factorisation with the vectors of each mapper.

    The mappers learn from items with train interactions and are chosen by holding out some of these, before the day.
    """
    item_vectors, train, new = model.item_vectors(), day.train, np.flatnonzero(day.is_new)
    cold_start = fit_cold_start(
        features.take(np.arange(len(item_vectors))), ItemSpace.of(model, day.known), config, seed
    )
    scorers: dict[str, Scorer] = {
        "random": RandomModel(RandomConfig(), train.n_users, train.n_items, seed + 1),
        "popularity": fit_popularity(train, PopularityConfig(), seed),
    }
    for name, mapper in cold_start.mappers.items():
        vectors = np.zeros((train.n_items, item_vectors.shape[1]), np.float32)
        vectors[: len(item_vectors)] = item_vectors
        vectors[new] = mapper.vectors(features.take(new))
        scorers[name] = VectorScorer(model.user_vectors(), vectors)
    return scorers, cold_start


def judge(scorers: Mapping[str, Scorer], day: NewItemsDay, ks: Sequence[int]) -> Iterator[tuple[str, RankingResult]]:
    """The result of every scorer in both placements."""
    narrow, items = day.among_new()
    nothing_seen, train = narrow.take(np.empty(0, np.int64)), day.train
    for name, scorer in scorers.items():
        yield AMONG_NEW, evaluate_ranking(AmongNew(scorer, items), nothing_seen, narrow, ks, name=name)
        yield FULL, evaluate_ranking(scorer, train, day.test, ks, name=name)
