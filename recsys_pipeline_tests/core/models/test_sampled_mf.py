"""The registered model; its trainer is tested in core/learning."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.sweep import parse_sweep
from recsys_pipeline.core.models import discover, sampled_mf
from recsys_pipeline.core.models.sampled_mf import SampledMfConfig
from recsys_pipeline.core.recommenders import VectorRecommender
from recsys_pipeline_tests.model_battery import ModelBattery, own_share, planted_blocks

RANKING = SampledMfConfig(embedding_size=8, learning_rate=0.05, reg=0.1, epochs=60, fold_in_epochs=60)
BATCHED = dataclasses.replace(RANKING, epochs=40, batch_size=64, fold_in_epochs=10)
VALUES = dataclasses.replace(
    RANKING, loss="squared", target="value", n_negatives=0, head="sigmoid", learning_rate=0.1, reg=0.1
)


class TestSampledMf(ModelBattery):
    model = "sampled_mf"
    config = dataclasses.asdict(RANKING)
    floor = 0.95
    fold_in_atol = 0.6  # of scores between -4 and 2: both are ends of noisy descents


class TestSampledMfForValues(ModelBattery):
    model = "sampled_mf"
    config = dataclasses.asdict(VALUES)
    floor = 0.4  # 16 values per user, and only those that are observed
    fold_in_atol = 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "bpr"},
        {"loss": "warp", "n_negatives": 20, "learning_rate": 0.02, "reg": 1.0},
        {"loss": "squared"},
        {"loss": "softmax", "optimizer": "adagrad"},
    ],
)
def test_each_loss_finds_the_planted_items(changes: dict[str, Any]) -> None:
    train, liked = planted_blocks()
    model = sampled_mf.fit(train, dataclasses.replace(RANKING, **changes), seed=0)
    assert own_share(model, train, liked) >= 0.85


def test_negatives_from_the_batch_find_the_planted_items_and_new_users_theirs() -> None:
    train, liked = planted_blocks()
    adam = {
        "loss": "softmax",
        "in_batch": True,
        "optimizer": "adam",
        "learning_rate": 0.02,
        "reg": 0.5,
        "fold_in_epochs": 40,
    }
    model = sampled_mf.fit(train, dataclasses.replace(BATCHED, **adam), seed=0)
    assert own_share(model, train, liked) >= 0.85
    assert own_share(model.for_users(train), train, liked) >= 0.85


def test_the_kth_of_several_positives_finds_the_planted_items() -> None:
    train, liked = planted_blocks()
    warp = {"loss": "warp", "n_negatives": 20, "n_positives": 4, "order": 2, "learning_rate": 0.02, "reg": 1.0}
    model = sampled_mf.fit(train, dataclasses.replace(BATCHED, **warp), seed=0)
    assert own_share(model, train, liked) >= 0.8


def test_users_as_means_of_their_items_find_the_planted_items_and_need_no_fold_in() -> None:
    train, liked = planted_blocks()
    mean = dataclasses.replace(BATCHED, loss="bpr", user_vector="mean", history_size=16)
    model = sampled_mf.fit(train, mean, seed=0)
    assert own_share(model, train, liked) >= 0.85
    np.testing.assert_allclose(model.fold_in(train), model.user_vectors(), atol=1e-6)


def test_scores_are_the_dot_products_of_the_vectors() -> None:
    train = planted_blocks()[0]
    model = sampled_mf.fit(train, RANKING, seed=0)
    assert isinstance(model, VectorRecommender)
    everyone = np.arange(train.n_users, dtype=np.int32)
    np.testing.assert_array_equal(model.scores(everyone), model.user_vectors() @ model.item_vectors().T)
    assert model.item_vectors().shape == (train.n_items, RANKING.embedding_size + 2)
    assert not model.predicts_values


def test_values_are_fitted_within_their_range() -> None:
    train = planted_blocks()[0]
    one_cycle = {"optimizer": "adamw", "schedule": "one_cycle", "learning_rate": 0.05, "batch_size": 64}
    for changes in ({}, one_cycle):
        model = sampled_mf.fit(train, dataclasses.replace(VALUES, **changes), seed=0)
        scores = model.scores(np.arange(train.n_users, dtype=np.int32))
        error = scores[train.user, train.item] - train.value
        assert model.predicts_values
        assert np.sqrt((error**2).mean()) < 0.5 < train.value.std()
        assert scores.min() >= 0.5
        assert scores.max() <= 5.5


def test_items_that_nobody_has_rank_below_those_of_the_user() -> None:
    train = planted_blocks()[0]
    wider = dataclasses.replace(train, n_items=train.n_items + 5)
    scores = sampled_mf.fit(wider, RANKING, seed=0).scores(np.arange(train.n_users, dtype=np.int32))
    assert scores[:, -5:].mean() < scores[train.user, train.item].mean() - 1


def test_progress_hears_a_falling_loss() -> None:
    heard: list[tuple[str, dict[str, float]]] = []
    config = dataclasses.replace(RANKING, epochs=5)
    sampled_mf.fit(planted_blocks()[0], config, 0, lambda step, metrics: heard.append((step, metrics)))
    assert [step for step, _ in heard] == [f"epoch {number}/5" for number in range(1, 6)]
    assert heard[0][1]["loss"] > heard[4][1]["loss"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_batch": True, "batch_size": 8}, "in_batch suits loss softmax, not logistic"),
        ({"in_batch": True, "loss": "softmax"}, "batch of 1"),
        ({"n_negatives": 0}, "nothing would push a score down"),
        ({"target": "value"}, "target value suits loss squared"),
        ({"head": "sigmoid"}, "head sigmoid fits values"),
        ({"n_positives": 2}, "n_positives suits losses bpr and warp"),
        ({"loss": "warp", "order": 2}, "order is 2 of n_positives 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SampledMfConfig(**settings)


def test_it_waits_to_be_asked_for() -> None:
    assert not discover()["sampled_mf"].daily


def test_the_shipped_sweep_is_over_its_settings() -> None:
    path = Path("conf/sweeps/sampled_mf_ndcg.yaml")
    assert parse_sweep(path.read_text(), SampledMfConfig, path.name).metric == "ndcg@10"
