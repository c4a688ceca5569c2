"""The closed-form linear model."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.models import discover, ease
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks


class TestEase(ModelBattery):
    model = "ease"
    config = {"reg": 5.0}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.9


def by_regressions(history: np.ndarray, reg: float) -> np.ndarray:
    """The readable twin: each item is regressed on all others, which is the same problem one column at a time."""
    n_items = history.shape[1]
    weights = np.zeros((n_items, n_items))
    for item in range(n_items):
        others = np.delete(np.arange(n_items), item)
        inputs = history[:, others]
        weights[others, item] = np.linalg.solve(
            inputs.T @ inputs + reg * np.eye(n_items - 1), inputs.T @ history[:, item]
        )
    return weights


@pytest.mark.parametrize("reg", [0.5, 20.0])
@pytest.mark.parametrize("block", [7, 1024])
def test_weights_equal_the_twin(monkeypatch: pytest.MonkeyPatch, reg: float, block: int) -> None:
    monkeypatch.setattr(ease, "ITEM_BLOCK", block)
    history = (np.random.default_rng(0).random((30, 20)) < 0.3).astype(np.float32)
    history[:, 5] = 0  # an item that nobody took
    gram = ease.gram_matrix(sparse.csr_array(history))
    np.testing.assert_array_equal(gram, history.T @ history)
    weights = ease.ease_weights(gram, reg)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, by_regressions(history.astype(float), reg), atol=1e-6)


def test_repeated_pairs_and_values_change_nothing() -> None:
    train = planted_blocks()[0]
    twice = train.take(np.tile(np.arange(len(train)), 2))
    shouted = dataclasses.replace(twice, value=twice.value * 7)
    once, again = (ease.fit(rows, ease.EaseConfig(), seed=0).weights for rows in (train, shouted))
    np.testing.assert_array_equal(once, again)


def test_too_large_a_catalogue_is_refused_before_memory_is_taken() -> None:
    train = dataclasses.replace(planted_blocks()[0], n_items=1_000_000)
    with pytest.raises(ModelError, match=r"12,000\.0 GB.*ease\.max_items is 20,000"):
        ease.fit(train, ease.EaseConfig(), seed=0)


def test_a_reg_that_cannot_be_solved_for_is_an_error() -> None:
    never_taken = sparse.csr_array((3, 2), dtype=np.float32)
    with pytest.raises(ModelError, match=r"raise ease\.reg"):
        ease.ease_weights(ease.gram_matrix(never_taken), 0.0)


def test_it_waits_to_be_asked_for() -> None:
    assert not discover()["ease"].daily
