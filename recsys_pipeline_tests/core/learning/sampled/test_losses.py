"""The sampled losses: their derivatives, and the figures that their papers define."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recsys_pipeline.core.learning.sampled import losses
from recsys_pipeline.core.learning.sampled.problem import facts_of, problem_of
from recsys_pipeline.core.learning.sampled.reference import derivatives
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline_tests.model_battery import planted_blocks

N_ROWS, N_NEGATIVES = 25, 4
TRAIN = planted_blocks()[0]
CASES = {
    "logistic": SampledMfConfig(loss="logistic"),
    "bpr": SampledMfConfig(loss="bpr"),
    "warp": SampledMfConfig(loss="warp"),
    "softmax": SampledMfConfig(loss="softmax", temperature=0.5, negative_power=0.7),
    "squared": SampledMfConfig(loss="squared"),
    "sigmoid": SampledMfConfig(loss="squared", target="value", n_negatives=0, head="sigmoid"),
}


@pytest.mark.parametrize("case", CASES)
def test_derivatives_written_out_are_those_that_jax_finds(case: str) -> None:
    config = CASES[case]
    problem = problem_of(TRAIN, facts_of(TRAIN, config), config)
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 2, (N_ROWS, 1 + config.n_negatives)).astype(np.float32)
    ids = generator.integers(0, TRAIN.n_items, scores.shape).astype(np.int32)
    value = generator.normal(3, 1, N_ROWS).astype(np.float32)

    def plain(scores: Any) -> Any:
        positive, negatives, allowed = scores[:, 0], scores[:, 1:], jnp.ones(ids[:, 1:].shape, bool)
        if case == "softmax":
            log_q = jnp.asarray(problem.log_q)[ids[:, 1:]]
            return losses.softmax(positive, negatives, allowed, jnp.zeros(N_ROWS), log_q, config.temperature)
        if case == "warp":
            return losses.warp(positive, negatives, allowed, problem.rank_weight)
        if case in ("squared", "sigmoid"):
            facts = problem.facts
            positive = losses.into_range(positive, facts.low, facts.high) if case == "sigmoid" else positive
            return losses.squared(positive, negatives, allowed, jnp.asarray(value))
        return getattr(losses, case)(positive, negatives, allowed)

    loss, used = jax.jit(plain)(scores)
    slope = jax.jit(jax.grad(lambda scores: plain(scores)[0].sum()))(scores)
    for row in range(N_ROWS):
        expected = derivatives(config, problem, scores[row].astype(float), ids[row].tolist(), float(value[row]))
        np.testing.assert_allclose(loss[row], expected[0], rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(slope[row], expected[1], rtol=2e-4, atol=1e-5)
        np.testing.assert_array_equal(used[row], expected[2])


def test_warp_weighs_by_the_rank_that_the_number_of_trials_tells() -> None:
    positive = jnp.array([2.0, 2.0, 2.0])
    negatives = jnp.array([[0.0, 1.5, 9.0], [1.0, 0.5, -3.0], [5.0, 5.0, 5.0]])
    allowed = jnp.array([[True, True, True], [True, True, True], [False, False, True]])
    loss, used = losses.warp(positive, negatives, allowed, losses.harmonic(11))
    # Found at trial 2 of 10 others: rank 5, Σ 1/t = 2.28333; then nothing; then trial 3, rank 3, Σ 1/t = 1.83333.
    np.testing.assert_allclose(loss, [2.28333 * 0.5, 0.0, 1.83333 * 4.0], rtol=1e-5)
    np.testing.assert_array_equal(used, [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]])


def test_softmax_over_every_item_once_is_the_full_softmax() -> None:
    scores = jnp.array([[0.3, -1.0, 2.0, 0.5]])
    draws_times_chance = jnp.zeros((1, 3))  # log 1: each other item is drawn once
    loss, _ = losses.softmax(scores[:, 0], scores[:, 1:], jnp.ones((1, 3), bool), jnp.zeros(1), draws_times_chance, 1.0)
    np.testing.assert_allclose(loss, -jax.nn.log_softmax(scores)[:, 0], rtol=1e-6)


def test_corrected_samples_estimate_the_sum_over_the_catalogue() -> None:
    generator = np.random.default_rng(0)
    scores, chance = generator.normal(size=50), generator.dirichlet(np.ones(50))
    drawn = generator.choice(50, 20_000, p=chance)
    negatives, log_q = scores[drawn][None], np.log(len(drawn) * chance[drawn])[None]
    allowed, zero = np.ones(negatives.shape, bool), jnp.zeros(1)
    corrected, _ = losses.softmax(zero, jnp.asarray(negatives), jnp.asarray(allowed), zero, jnp.asarray(log_q), 1.0)
    np.testing.assert_allclose(corrected[0], np.log(1 + np.exp(scores).sum()), rtol=0.02)


@pytest.mark.parametrize(("order", "expected"), [(1, [1, 0]), (2, [2, 1]), (3, [0, 2])])
def test_the_kth_positive_is_marked(order: int, expected: list[int]) -> None:
    scores = jnp.array([[1.0, 3.0, 2.0], [4.0, 4.0, 0.0]])  # of equal ones the earlier is the higher
    np.testing.assert_array_equal(losses.kth_positive(scores, order).argmax(axis=1), expected)


def test_a_range_is_never_left() -> None:
    np.testing.assert_allclose(losses.into_range(jnp.array([-100.0, 0.0, 100.0]), 0.5, 5.5), [0.5, 3.0, 5.5])
