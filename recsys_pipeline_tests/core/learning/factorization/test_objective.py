"""The factorisation's solvers against the NumPy twin and against each other."""

import dataclasses
import itertools
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.learning.factorization import als as factorization_als
from recsys_pipeline.core.learning.factorization import jax_solver as factorization_jax
from recsys_pipeline.core.learning.factorization import optax_solver as factorization_optax
from recsys_pipeline.core.learning.factorization import reference
from recsys_pipeline.core.learning.factorization.cpu import Solver
from recsys_pipeline.core.learning.factorization.objective import (
    Factors,
    Objective,
    extended,
    initial_factors,
    objective_value,
    observe,
    padded_size,
    totals_of,
)
from recsys_pipeline.core.ratings import Ratings

VALUES = Objective(0.02, 0.03, 0.0, 0.0, 1.0, 1.0, 1.0)
RANKING = Objective(0.02, 0.01, 0.7, 0.0, 0.0, 1.0, 0.0)
EVERYTHING = Objective(0.05, 0.02, 0.4, 0.8, 1.0, 1.0, 1.0)
FACTORS_ONLY = Objective(0.02, 0.02, 0.3, 0.5, 0.0, 0.0, 0.0)
OBJECTIVES = [VALUES, RANKING, EVERYTHING, FACTORS_ONLY]
SIZE = 3
WEIGHT = np.tile(np.array([0.25, 0.5, 1.25, 2.0], np.float32), 400)
"""One on average, and far from even."""


def some_ratings(seed: int = 0, n: int = 160, n_users: int = 14, n_items: int = 11) -> Ratings:
    """Random values on random pairs; the last user and the last two items have none, and user 0 has most."""
    generator = np.random.default_rng(seed)
    user = (generator.random(n) ** 2 * (n_users - 1)).astype(np.int32)
    item = generator.integers(0, n_items - 2, n).astype(np.int32)
    value = generator.integers(1, 6, n).astype(np.float32)
    return Ratings(user, item, value, np.zeros(n, np.int64), n_users, n_items)


def as_reference(factors: Factors, ratings: Ratings) -> reference.Reference:
    cut_users, cut_items = slice(ratings.n_users), slice(ratings.n_items)
    return reference.Reference(
        np.asarray(factors.user, np.float64)[cut_users],
        np.asarray(factors.item, np.float64)[cut_items],
        np.asarray(factors.user_bias, np.float64)[cut_users],
        np.asarray(factors.item_bias, np.float64)[cut_items],
        float(factors.global_bias),
    )


def compilations() -> int:
    return cast(Any, factorization_jax.epoch)._cache_size()


def scores(factors: Factors, ratings: Ratings) -> np.ndarray:
    left, right = extended(factors)
    return np.asarray(left @ right.T)[: ratings.n_users, : ratings.n_items]


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_als_takes_the_same_steps_as_the_twin(objective: Objective, on_cpu: bool) -> None:
    ratings = some_ratings()
    twin = as_reference(initial_factors(observe(ratings, WEIGHT[: len(ratings)]), SIZE, 0.0, seed=5), ratings)
    twin.global_bias = float(ratings.value.mean()) * float(objective.use_global_bias)
    reference.solve_users(twin, ratings, objective, WEIGHT[: len(ratings)])
    for _ in range(3):
        reference.epoch(twin, ratings, objective, WEIGHT[: len(ratings)])
    fitted = factorization_als.fit_als(
        ratings, objective, SIZE, 3, seed=5, weight=WEIGHT[: len(ratings)], on_cpu=on_cpu
    )
    np.testing.assert_allclose(scores(fitted, ratings), twin.scores(), atol=2e-4)
    np.testing.assert_allclose(np.asarray(fitted.user)[: ratings.n_users], twin.user, atol=2e-4)
    assert not np.asarray(fitted.item)[:, SIZE:].any(), "padding columns stay zero"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objective_equals_the_twin(objective: Objective) -> None:
    ratings = some_ratings(1)
    generator = np.random.default_rng(2)
    observed = observe(ratings, WEIGHT[: len(ratings)])
    shape = initial_factors(observed, SIZE, 0.0, seed=0)
    drawn = Factors(*(jnp.asarray(generator.normal(size=array.shape), jnp.float32) for array in shape))
    # The twin's penalties run over rows with observations, the only ones that either solver makes non-zero.
    seen_users, seen_items = np.asarray(observed.user_count) > 0, np.asarray(observed.item_count) > 0
    kept = Factors(
        drawn.user * seen_users[:, None],
        drawn.item * seen_items[:, None],
        drawn.user_bias * seen_users,
        drawn.item_bias * seen_items,
        drawn.global_bias,
    )
    by_twin = reference.objective_value(as_reference(kept, ratings), ratings, objective, WEIGHT[: len(ratings)])
    found = float(objective_value(kept, observed, objective, totals_of(ratings)))
    assert found == pytest.approx(by_twin, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("solver", ["als", "cg", "subspace"])
def test_als_never_raises_the_objective(objective: Objective, solver: Solver) -> None:
    values: list[float] = []
    ratings = some_ratings(3, 900, 60, 50)
    factorization_als.fit_als(ratings, objective, 40, 8, 0, lambda _, value: values.append(value), solver=solver)
    assert len(values) == 8
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("objective", [VALUES, EVERYTHING])
def test_als_and_optax_reach_the_same_optimum(objective: Objective) -> None:
    # At full rank every local minimum is global (the penalty is the variational form of the nuclear norm).
    ratings, found = some_ratings(4), {}
    strong = objective._replace(reg=0.2, bias_reg=0.2)
    for name, fit, epochs in (("als", factorization_als.fit_als, 200), ("optax", factorization_optax.fit_optax, 300)):
        factors = fit(ratings, strong, 11, epochs, 0, weight=WEIGHT[: len(ratings)])
        value = objective_value(factors, observe(ratings, WEIGHT[: len(ratings)]), strong, totals_of(ratings))
        found[name] = float(value), scores(factors, ratings)
    assert found["optax"][0] == pytest.approx(found["als"][0], rel=1e-4)
    np.testing.assert_allclose(found["optax"][1], found["als"][1], atol=0.02)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_rows_longer_than_a_block_and_chunks_of_rows(monkeypatch: pytest.MonkeyPatch, on_cpu: bool) -> None:
    generator = np.random.default_rng(6)
    n_users, n_items, n = 40, 300, 1500
    user = np.concatenate([np.zeros(200, np.int32), generator.integers(0, n_users, n - 200)]).astype(np.int32)
    item = generator.integers(0, n_items, n).astype(np.int32)
    ratings = Ratings(user, item, generator.random(n).astype(np.float32), np.zeros(n, np.int64), n_users, n_items)
    monkeypatch.setattr(factorization_jax, "SHORT_ROWS", 16)
    start = initial_factors(observe(ratings, WEIGHT[: len(ratings)]), SIZE, 0.0, seed=1)
    twin = as_reference(start, ratings)
    reference.solve_users(twin, ratings, RANKING, WEIGHT[:n])
    reference.epoch(twin, ratings, RANKING, WEIGHT[:n])
    fitted = factorization_als.fit_als(ratings, RANKING, SIZE, 1, seed=1, weight=WEIGHT[:n], on_cpu=on_cpu)
    np.testing.assert_allclose(scores(fitted, ratings), twin.scores(), atol=1e-4)


def test_gravity_pulls_unobserved_pairs_to_zero() -> None:
    ratings = dataclasses.replace(some_ratings(7), value=np.ones(160, np.float32))
    unobserved = np.ones((ratings.n_users, ratings.n_items), bool)
    unobserved[ratings.user, ratings.item] = False

    def mean_square(gravity: float) -> float:
        objective = RANKING._replace(gravity=gravity)
        fitted = factorization_als.fit_als(ratings, objective, SIZE, epochs=10, seed=0)
        return float((scores(fitted, ratings)[unobserved] ** 2).mean())

    weak, strong = mean_square(0.01), mean_square(1.0)
    assert strong < weak / 2


def test_rows_without_ratings_are_zero() -> None:
    ratings = some_ratings(8)
    fitted = factorization_als.fit_als(ratings, EVERYTHING, SIZE, epochs=2, seed=0)
    assert not np.asarray(fitted.user)[ratings.n_users - 1 :].any()
    assert not np.asarray(fitted.item)[ratings.n_items - 2 :].any()
    assert not np.asarray(fitted.user_bias)[ratings.n_users - 1 :].any()
    assert not np.asarray(fitted.item_bias)[ratings.n_items - 2 :].any()


def test_trials_of_a_sweep_share_one_compilation() -> None:
    ratings = some_ratings(9)
    factorization_als.fit_als(ratings, VALUES, 8, 1, 0, on_cpu=False)
    before = compilations()
    for embedding_size, gravity in ((8, 0.3), (5, 0.0), (3, 0.7)):
        factorization_als.fit_als(ratings, VALUES._replace(gravity=gravity), embedding_size, 1, 0, on_cpu=False)
    assert compilations() == before


@given(st.integers(0, 10_000_000))
def test_padded_size_wastes_at_most_a_quarter(n: int) -> None:
    assert n <= padded_size(n) <= max(n * 1.25, 8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_ratings_does_not_matter(seed: int) -> None:
    ratings = some_ratings(10)
    shuffled = ratings.take(np.random.default_rng(seed).permutation(len(ratings)))
    first, second = (factorization_als.fit_als(rows, RANKING, SIZE, 2, 0) for rows in (ratings, shuffled))
    np.testing.assert_allclose(scores(first, ratings), scores(second, ratings), atol=1e-5)
