"""New items are placed where the training steps would have placed them, users fixed; the readable twin agrees."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sampled import new_items
from recsys_pipeline.core.models import sampled_mf
from recsys_pipeline.core.models.sampled_mf import SampledMfConfig, SampledMfModel
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import planted_blocks

CONFIG = SampledMfConfig(embedding_size=8, learning_rate=0.05, reg=0.1, epochs=40, fold_in_epochs=40)


def fitted(**changes: Any) -> tuple[Ratings, np.ndarray, SampledMfModel]:
    train, liked = planted_blocks()
    return train, liked, sampled_mf.fit(train, dataclasses.replace(CONFIG, **changes), seed=0)


@pytest.mark.parametrize(
    "changes", [{}, {"loss": "bpr"}, {"loss": "squared"}, {"loss": "softmax", "optimizer": "adagrad"}]
)
def test_an_item_of_the_fit_that_comes_again_is_liked_by_the_users_who_liked_it(changes: dict[str, Any]) -> None:
    train, liked, model = fitted(**changes)
    scores = model.user_vectors() @ model.fold_in_items(train).T
    inside, outside = (np.array([scores[which[:, i], i].mean() for i in range(40)]) for which in (liked, ~liked))
    assert (inside > outside).all()
    learned = model.scores(np.arange(train.n_users, dtype=np.int32))
    agreement = [np.corrcoef(scores[:, i], learned[:, i])[0, 1] for i in range(40)]
    assert np.median(agreement) > 0.95


def test_scores_of_an_item_that_comes_again_are_nearly_those_of_the_fit() -> None:
    train, _, model = fitted()
    scores = model.user_vectors() @ model.fold_in_items(train).T
    learned = model.scores(np.arange(train.n_users, dtype=np.int32))
    assert np.abs(scores - learned).mean() < 0.3  # of scores between -4 and 2


def test_an_items_vector_depends_on_no_other_item_nor_on_the_call() -> None:
    train, _, model = fitted(epochs=5)
    together = model.fold_in_items(train)
    np.testing.assert_array_equal(together, model.fold_in_items(train))
    alone = train.take(train.item == 7)
    alone = dataclasses.replace(alone, item=np.zeros(len(alone), np.int32), n_items=1)
    np.testing.assert_allclose(model.fold_in_items(alone)[0], together[7], atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"frequency_power": 0.5, "negative_power": 0.5}, {"loss": "bpr"}])
def test_newton_ends_where_a_general_minimiser_does(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    rng = np.random.default_rng(3)
    rows = new_items.Rows(
        np.repeat([0, 1], 30), rng.normal(size=(60, 4)), rng.normal(size=60), (rng.random(60) < 0.3).astype(float),
        rng.random(60),
    )  # fmt: skip
    ridge = np.array([0.3, 2.0])
    for item, found in enumerate(new_items.newton(rows, ridge, config)):
        own = rows.item == item

        def cost(w: np.ndarray, own: np.ndarray = own, weight: float = float(ridge[item])) -> float:
            score = rows.design[own] @ w + rows.base[own]
            each = np.logaddexp(0, score) - rows.target[own] * score
            return float((rows.weight[own] * each).sum() + weight * (w @ w) / 2)

        np.testing.assert_allclose(found, minimize(cost, np.zeros(4), tol=1e-10).x, atol=1e-4)


def test_an_item_that_no_known_user_took_has_nothing_but_the_offset() -> None:
    train, _, model = fitted(epochs=2)
    widened = dataclasses.replace(train, n_items=train.n_items + 1)
    vector = model.fold_in_items(widened)[-1]
    np.testing.assert_allclose(vector, [0] * 8 + [1, model.facts.offset], rtol=1e-6)


def test_another_user_id_space_is_refused() -> None:
    train, _, model = fitted(epochs=1)
    with pytest.raises(ModelError, match="histories have 61 users, the model 60"):
        model.fold_in_items(dataclasses.replace(train, n_users=61))
