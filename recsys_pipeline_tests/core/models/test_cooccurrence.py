"""The item-item co-occurrence baseline."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.models import cooccurrence
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks


class TestCooccurrence(ModelBattery):
    model = "cooccurrence"
    floor = 0.9


class TestItemKnn(ModelBattery):
    """The setting of the literature: each candidate looks for its neighbours in the history."""

    model = "cooccurrence"
    config = {"neighbors_of": "candidate", "n_neighbors": 6}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.9


def by_hand(history: np.ndarray, n_neighbors: int, shrinkage: float) -> np.ndarray:
    """The readable twin: one pair of items at a time."""
    n_items = history.shape[1]
    similarity, ties = np.zeros((n_items, n_items)), mix(np.arange(n_items, dtype=np.uint64))
    for one in range(n_items):
        for other in range(n_items):
            together = (history[:, one] * history[:, other]).sum()
            norm = np.sqrt(history[:, one].sum() * history[:, other].sum())
            if one != other and together:
                similarity[one, other] = together / (norm + shrinkage)
        similarity[one, np.lexsort((ties, -similarity[one].astype(np.float32)))[n_neighbors:]] = 0
    return similarity


@pytest.mark.parametrize(("n_neighbors", "shrinkage"), [(3, 0.0), (5, 2.5), (1000, 10.0)])
@pytest.mark.parametrize("block", [7, 1024])
def test_similarities_equal_the_twin(
    monkeypatch: pytest.MonkeyPatch, n_neighbors: int, shrinkage: float, block: int
) -> None:
    monkeypatch.setattr(cooccurrence, "ITEM_BLOCK", block)
    history = np.random.default_rng(0).random((30, 20)) < 0.3
    found = cooccurrence.similar_items(sparse.csr_array(history.astype(np.float32)), n_neighbors, shrinkage)
    np.testing.assert_allclose(found.toarray(), by_hand(history.astype(float), n_neighbors, shrinkage), rtol=1e-6)


def test_repeated_pairs_count_once() -> None:
    train = planted_blocks()[0]
    twice = train.take(np.tile(np.arange(len(train)), 2))
    users, config = np.arange(train.n_users, dtype=np.int32), cooccurrence.CooccurrenceConfig()
    once, again = (cooccurrence.fit(rows, config, seed=0).scores(users) for rows in (train, twice))
    np.testing.assert_array_equal(once, again)


def test_whose_neighbours_are_kept() -> None:
    """Items 0 and 1 meet twice; items 1 and 2 once: 1 is the nearest of both, and 0 is the nearest of 1."""
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2)]
    user, item = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    train = Ratings(user, item, np.ones(6, np.float32), np.zeros(6, np.int64), 4, 3)
    of_two = dataclasses.replace(train.take(np.array([5])), user=np.zeros(1, np.int32), n_users=1)
    of_one = dataclasses.replace(of_two, item=np.ones(1, np.int32))
    settings = {"n_neighbors": 1, "shrinkage": 0.0}
    history, candidate = (
        cooccurrence.fit(train, cooccurrence.CooccurrenceConfig(**settings, neighbors_of=side), seed=0)
        for side in ("history", "candidate")
    )
    user_0 = np.array([0], np.int32)
    near, far = 2 / np.sqrt(6), 1 / np.sqrt(3)
    np.testing.assert_allclose(history.for_users(of_two).scores(user_0), [[0, far, 0]], rtol=1e-6)
    np.testing.assert_allclose(candidate.for_users(of_two).scores(user_0), [[0, 0, 0]])
    np.testing.assert_allclose(history.for_users(of_one).scores(user_0), [[near, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(candidate.for_users(of_one).scores(user_0), [[near, 0, far]], rtol=1e-6)
