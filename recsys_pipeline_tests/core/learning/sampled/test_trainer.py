"""Training on sampled pairs: the kernel, the batches and the written-out steps agree; rows are touched sparsely."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sampled import trainer as sampled_trainer
from recsys_pipeline.core.learning.sampled.draws import NEGATIVES, stream_key
from recsys_pipeline.core.learning.sampled.problem import Factors, Problem, facts_of, initial_factors, problem_of
from recsys_pipeline.core.learning.sampled.reference import Reference
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.learning.sampled.steps import BatchSteps, KernelSteps, Visits
from recsys_pipeline.core.learning.sampled.trainer import fit_sampled, fold_in_sampled, rows_at_once
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import planted_blocks

TRAIN = planted_blocks()[0]
FEW = TRAIN.take(np.arange(12))  # of users 0 and 1: rows meet again and again
SMALL = SampledMfConfig(
    embedding_size=5, n_negatives=6, learning_rate=0.2, reg=0.05, frequency_power=0.6, negative_power=0.5,
    init_stdev=0.5, exclude_positives=False,
)  # fmt: skip
VALUES = {"loss": "squared", "target": "value", "n_negatives": 0}
CASES: dict[str, dict[str, Any]] = {
    "logistic": {},
    "bpr": {"loss": "bpr", "use_biases": False},
    "warp": {"loss": "warp"},
    "softmax": {"loss": "softmax", "temperature": 0.5},
    "sigmoid": {**VALUES, "head": "sigmoid"},
}


def given(config: SampledMfConfig, train: Ratings = FEW) -> tuple[Problem, Factors, Visits]:
    problem = problem_of(train, facts_of(train, config), config)
    generator = np.random.default_rng(1)
    return problem, initial_factors(train, config, 0), Visits(generator.permutation(len(train)), np.arange(len(train)))


def rates(config: SampledMfConfig, n_steps: int) -> np.ndarray:
    return np.full(n_steps, config.learning_rate, np.float32)


def assert_equal(one: Factors, other: Factors) -> None:
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("fix_items", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_takes_the_steps_that_are_written_out(case: str, fix_items: bool) -> None:
    config = dataclasses.replace(SMALL, **CASES[case])
    problem, start, visits = given(config)
    steps = KernelSteps(start, problem, config, 3, fix_items, wants_loss=True)
    total = steps.take(FEW, visits, 4, rates(config, len(FEW)))
    twin = Reference.of(start)
    user = FEW.user[visits.row]
    drawn = problem.sampler.draw(user, visits.place, config.drawn_per_example, stream_key(3, NEGATIVES, 4))
    expected = 0.0
    for place, row in enumerate(visits.row):
        value = float(FEW.value[row]) if config.target == "value" else 1.0
        expected += twin.step(problem, config, int(user[place]), int(FEW.item[row]), value, drawn[place].tolist())
        if fix_items:
            twin.items[:], twin.item_bias[:] = start.items.factors, start.items.bias
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    found = steps.factors()
    np.testing.assert_allclose(found.users.factors, twin.users, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(found.items.factors, twin.items, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(found.users.bias, twin.user_bias, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(found.items.bias, twin.item_bias, rtol=1e-4, atol=2e-5)
    assert np.abs(found.users.factors - start.users.factors).max() > 0.01


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_and_batches_of_one_take_the_same_steps(case: str) -> None:
    config = dataclasses.replace(SMALL, **CASES[case], optimizer="adagrad" if case == "logistic" else "sgd")
    problem, start, visits = given(config)
    kernel = KernelSteps(start, problem, config, 3, fix_items=False, wants_loss=True)
    batches = BatchSteps(start, problem, config, 3, fix_items=False)
    totals = [steps.take(FEW, visits, 4, rates(config, len(FEW))) for steps in (kernel, batches)]
    np.testing.assert_allclose(totals[0], totals[1], rtol=1e-4)
    assert_equal(kernel.factors(), batches.factors())


BATCHED = dataclasses.replace(SMALL, **VALUES, optimizer="adam", batch_size=len(FEW), use_biases=False)


def test_a_batch_of_everything_is_a_dense_step_of_optax() -> None:
    problem, start, visits = given(BATCHED)
    steps = BatchSteps(start, problem, BATCHED, 0, fix_items=False)
    rule, tables = optax.adam(BATCHED.learning_rate), (start.users.factors, start.items.factors)
    state = rule.init(tables)

    def loss(tables: Any) -> Any:
        u, v = tables[0][FEW.user], tables[1][FEW.item]
        error = (u * v).sum(1) + problem.facts.offset - FEW.value
        penalty = (u**2).sum(1) * problem.user_reg[FEW.user] + (v**2).sum(1) * problem.item_reg[FEW.item]
        return (error**2 + penalty).sum() / 2

    gradient = jax.jit(jax.grad(loss))
    for epoch in range(2):
        steps.take(FEW, visits, epoch, rates(BATCHED, 1))
        updates, state = rule.update(gradient(tables), state)
        tables = jax.tree.map(jnp.add, tables, updates)
    found = steps.factors()
    is_touched = np.isin(np.arange(TRAIN.n_items), FEW.item)
    np.testing.assert_allclose(found.users.factors[:2], tables[0][:2], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.items.factors[is_touched], tables[1][is_touched], rtol=1e-3, atol=1e-4)


def test_rows_outside_the_batch_keep_their_factors_and_the_state_of_their_optimiser() -> None:
    problem, start, visits = given(BATCHED, TRAIN)
    steps, outside = BatchSteps(start, problem, BATCHED, 0, fix_items=False), np.ones(TRAIN.n_items, bool)
    for epoch in range(2):  # with dense Adam, momentum would move a row of the first batch in the second
        part = Visits(visits.row[epoch * 12 :][:12], visits.place[:12])
        before, moments = steps.factors(), jax.tree.map(np.array, steps._carry.item_state)
        steps.take(TRAIN, part, epoch, rates(BATCHED, 1))
        outside = ~np.isin(np.arange(TRAIN.n_items), TRAIN.item[part.row])
        after = jax.tree.leaves((steps.factors().items, steps._carry.item_state))
        for old, new in zip(jax.tree.leaves((before.items, moments)), after, strict=True):
            if np.ndim(old):
                np.testing.assert_array_equal(np.asarray(new)[outside], old[outside])
    assert jnp.abs(steps.factors().items.factors - start.items.factors)[~outside].min() > 0


def test_epochs_do_not_depend_on_how_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, epochs=2, schedule="one_cycle")
    heard: list[float] = []
    whole, _ = fit_sampled(TRAIN, config, 5, lambda _, loss: heard.append(loss))
    monkeypatch.setattr(sampled_trainer, "CHUNK", 50)
    cut, _ = fit_sampled(TRAIN, config, 5, lambda _, loss: heard.append(loss))
    for left, right in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(heard[:2], heard[2:])
    assert heard[1] < heard[0]


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing() -> None:
    config = dataclasses.replace(SMALL, schedule="one_cycle", learning_rate=0.3, epochs=2)
    rate = np.concatenate([sampled_trainer.scheduled_rates(config, epoch, 0, 50, 50) for epoch in (0, 1)])
    assert rate.argmax() == 30
    np.testing.assert_allclose([rate[0], rate[30], rate[-1]], [0.3 / 25, 0.3, 0.0], atol=2e-3)


def test_the_penalties_of_a_row_together_grow_with_frequency_to_the_power() -> None:
    config = dataclasses.replace(SMALL, reg=0.1, frequency_power=0.5)
    problem = problem_of(TRAIN, facts_of(TRAIN, config), config)
    count = np.bincount(TRAIN.user)
    np.testing.assert_allclose(count * problem.user_reg, 0.1 * count.mean() * np.sqrt(count / count.mean()), rtol=1e-5)
    alike = problem_of(TRAIN, facts_of(TRAIN, config), dataclasses.replace(config, frequency_power=1.0))
    np.testing.assert_allclose(alike.item_reg, 0.1, rtol=1e-6)


def test_a_new_users_vector_depends_on_no_other_user() -> None:
    config = dataclasses.replace(SMALL, epochs=2, exclude_positives=True, schedule="one_cycle")
    factors, facts = fit_sampled(TRAIN, config, 0)
    together = fold_in_sampled(factors.items, TRAIN, facts, config, 0)
    alone = fold_in_sampled(factors.items, TRAIN.take(TRAIN.user == 9), facts, config, 0)
    np.testing.assert_array_equal(alone.users.factors[9], together.users.factors[9])
    np.testing.assert_array_equal(alone.users.factors[8], 0)
    np.testing.assert_array_equal(alone.items.factors, factors.items.factors)


def test_a_rate_that_is_too_high_is_an_error_that_says_so() -> None:
    with pytest.raises(ModelError, match="learning_rate 1000000"), np.errstate(all="ignore"):
        fit_sampled(TRAIN, dataclasses.replace(SMALL, loss="squared", learning_rate=1e6), 0)


def test_dispatches_hold_whole_batches_and_bounded_draws() -> None:
    assert rows_at_once(SMALL) == 1 << 16
    assert rows_at_once(dataclasses.replace(SMALL, n_negatives=4096)) <= (1 << 25) // 4096
    batches = dataclasses.replace(SMALL, loss="softmax", in_batch=True, batch_size=3000)
    assert rows_at_once(batches) % 3000 == 0
