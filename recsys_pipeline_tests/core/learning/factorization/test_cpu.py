"""The compiled row solvers against their NumPy twins; what a whole fit promises on the CPU."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.learning import row_threads
from recsys_pipeline.core.learning.factorization import kernels as factorization_kernels
from recsys_pipeline.core.learning.factorization import reference
from recsys_pipeline.core.learning.factorization.als import fit_als
from recsys_pipeline.core.learning.factorization.cpu import Solver
from recsys_pipeline.core.learning.factorization.kernels import CACHED, EXACT, GRADIENTS, SUBSPACE
from recsys_pipeline.core.learning.factorization.objective import Objective, objective_value, observe, totals_of
from recsys_pipeline.core.learning.factorization.rows import rating_rows
from recsys_pipeline.core.learning.factorization.subspace import BLOCK
from recsys_pipeline.core.learning.factorization.sums import change_basis, eigenbasis, gramian
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.core.learning.factorization.test_objective import (
    EVERYTHING,
    RANKING,
    VALUES,
    scores,
    some_ratings,
)

solve_rows: Any = factorization_kernels.solve_rows  # compiled: its signature is only known when it is called
SOLVERS: tuple[Solver, ...] = ("als", "cg", "subspace")
WIDTH, N_COLUMNS, STEPS = 40, 90, 3
LENGTHS = [0, 1, 5, 8, 39, 40, 47, 48, 49, 64, 65, 300, CACHED + 9]
"""None, one, on both sides of every size at which the way to solve a row changes, and more than is kept."""


def problem(seed: int, rotated: bool, with_bias: bool) -> dict[str, Any]:
    """Random arguments of `solve_rows`, ratings of every length in `LENGTHS`."""
    generator = np.random.default_rng(seed)
    n, rows = sum(LENGTHS), len(LENGTHS)
    d = WIDTH - 1 if with_bias else WIDTH
    design = generator.normal(size=(N_COLUMNS, WIDTH)).astype(np.float32) / 6
    turn = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    return {
        "start": np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64),
        "column": generator.integers(0, N_COLUMNS, n).astype(np.int32),
        "value": generator.normal(size=n).astype(np.float32),
        "root_weight": generator.uniform(0.5, 1.5, n).astype(np.float32),
        "design": design,
        "offset": generator.normal(size=N_COLUMNS).astype(np.float32),
        "eigenvalues": generator.uniform(0, 2, WIDTH).astype(np.float32),
        "pull": generator.normal(size=WIDTH).astype(np.float32),
        "basis": np.stack([turn, turn.T.copy()]) if rotated else np.zeros((0, WIDTH, WIDTH), np.float32),
        "ridge": generator.uniform(0.5, 2, rows).astype(np.float32),
        "scale": np.float32(1.7 if with_bias else 0.0),
        "factor": generator.normal(size=(rows, d)).astype(np.float32),
        "bias": generator.normal(size=rows).astype(np.float32) * with_bias,
    }


def by_twin(given: dict[str, Any], row: int, method: int) -> np.ndarray:
    """The row's new `[factor, bias]`, by dense algebra in float64."""
    own = slice(given["start"][row], given["start"][row + 1])
    z = given["design"][given["column"][own]].astype(np.float64) * given["root_weight"][own, None]
    residual = (given["value"][own] - given["offset"][given["column"][own]]) * given["root_weight"][own]
    matrix = z.T @ z + np.diag(given["eigenvalues"].astype(np.float64) + given["ridge"][row])
    right = given["pull"] + z.T @ residual
    into, back = given["basis"].astype(np.float64) if len(given["basis"]) else np.stack([np.eye(WIDTH)] * 2)
    biases = [given["bias"][row] / given["scale"]] if given["scale"] else []
    x = np.append(given["factor"][row], biases).astype(np.float64) @ into
    if method == EXACT:
        x = np.linalg.solve(matrix, right)
    elif method == GRADIENTS:
        x = reference.conjugate_gradients(matrix, right, x, STEPS)
    else:
        x = reference.subspaces(matrix, right, x, BLOCK)
    x = x @ back
    return np.append(x[:-1], x[-1] * given["scale"]) if given["scale"] else np.append(x, 0.0)


@pytest.mark.parametrize("method", [EXACT, GRADIENTS, SUBSPACE])
@pytest.mark.parametrize(("rotated", "with_bias"), [(True, False), (False, True), (True, True)])
def test_each_way_equals_its_twin(method: int, rotated: bool, with_bias: bool) -> None:
    given = problem(3, rotated, with_bias)
    # Row 0 has no ratings, and so becomes zero.
    expected = [np.zeros(given["factor"].shape[1] + 1)] + [
        by_twin(given, row, method) for row in range(1, len(LENGTHS))
    ]
    solve_rows(0, len(LENGTHS), *given.values(), method, STEPS, np.float32(0))
    found = np.column_stack([given["factor"], given["bias"]])
    np.testing.assert_allclose(found, np.stack(expected), atol=3e-4)


def test_values_and_weights_that_are_alike_are_stored_once_and_mean_the_same() -> None:
    ratings = some_ratings(n=1500, n_users=9, n_items=40)
    ones = np.ones(len(ratings), np.float32)
    alike = rating_rows(ratings.user, ratings.item, ones, ones, ratings.n_users)
    assert (len(alike.value), len(alike.root_weight)) == (1, 1)
    given = problem(4, False, False)
    results = []
    for rows in (alike, alike._replace(value=ones, root_weight=ones)):
        factor, bias = np.zeros((9, WIDTH), np.float32), np.zeros(9, np.float32)
        shared = {**given, **rows._asdict(), "ridge": np.ones(9, np.float32), "factor": factor, "bias": bias}
        solve_rows(0, 9, *shared.values(), GRADIENTS, STEPS, np.float32(0))
        results.append(factor)
    np.testing.assert_array_equal(*results)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(1, 40))
def test_rating_rows_keep_the_order_within_a_row(seed: int, n: int, n_rows: int) -> None:
    generator = np.random.default_rng(seed)
    ids, columns = (generator.integers(0, high, n).astype(np.int32) for high in (n_rows, 1000))
    values = generator.random(n).astype(np.float32)
    rows = rating_rows(ids, columns, values, values + 1, n_rows)
    order = np.argsort(ids, kind="stable")
    np.testing.assert_array_equal(rows.column, columns[order])
    np.testing.assert_array_equal(np.diff(rows.start), np.bincount(ids, minlength=n_rows))
    np.testing.assert_array_equal(np.resize(rows.value, n), values[order])


@pytest.mark.parametrize("n", [0, 1, 63, 1000])
def test_gramian_and_change_of_basis_equal_numpy(n: int) -> None:
    generator = np.random.default_rng(n)
    table, basis = (generator.normal(size=(rows, 16)).astype(np.float32) for rows in (n, 16))
    np.testing.assert_allclose(gramian(table), table.T.astype(np.float64) @ table, atol=1e-4)
    expected = table @ basis
    change_basis(table, basis)
    np.testing.assert_allclose(table, expected, atol=1e-4)


@pytest.mark.parametrize("rank", [0, 1, 10, 40])
def test_eigenbasis_equals_numpy(rank: int) -> None:
    rows = np.random.default_rng(rank).normal(size=(rank, 24)) * np.logspace(0, -3, 24)
    matrix = rows.T @ rows
    values, vectors = eigenbasis(matrix)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(24), atol=1e-12)
    np.testing.assert_allclose(vectors * values @ vectors.T, matrix, atol=1e-10)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix), atol=1e-10)


@given(st.lists(st.integers(0, 50), max_size=80))
def test_ranges_of_equal_work_hold_every_row_once(counts: list[int]) -> None:
    edges = row_threads.ranges_of_equal_work(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    assert (edges[0], edges[-1]) == (0, len(counts))
    assert (np.diff(edges) >= 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_number_of_threads_changes_nothing(solver: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, fits = some_ratings(5, 900, 60, 50), []
    for threads in (1, 3):
        monkeypatch.setattr(row_threads, "CPU_THREADS", threads)
        fits.append(fit_als(ratings, EVERYTHING, 40, 2, 0, solver=solver))
    for one, other in zip(*fits, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("objective", [VALUES, RANKING, EVERYTHING])
def test_every_way_reaches_what_the_exact_way_reaches(objective: Objective) -> None:
    ratings, strong = some_ratings(6, 900, 60, 50), objective._replace(reg=0.3, bias_reg=0.3)
    found: dict[str, float] = {}
    for solver in SOLVERS:
        fit_als(ratings, strong, 40, 40, 0, lambda _, value, name=solver: found.update({name: value}), solver=solver)
    assert found["cg"] == pytest.approx(found["als"], rel=1e-4)
    assert found["subspace"] == pytest.approx(found["als"], rel=1e-4)


@pytest.mark.parametrize("objective", [VALUES, EVERYTHING])
def test_the_objective_that_is_reported_is_the_objective(objective: Objective) -> None:
    ratings, weight, heard = some_ratings(7), np.tile(np.array([0.5, 1.5], np.float32), 80), []
    fitted = fit_als(ratings, objective, 3, 2, 0, lambda _, value: heard.append(value), weight)
    value = objective_value(fitted, observe(ratings, weight), objective, totals_of(ratings))
    assert heard[-1] == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("bad", [{"reg": 0.0}, {"bias_reg": -1.0}, {"gravity": np.nan}, {"frequency_power": -0.1}])
def test_objectives_without_a_single_minimiser_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        fit_als(some_ratings(), RANKING._replace(**bad), 3, 1, 0)


@pytest.mark.parametrize(("weight", "message"), [(np.ones(3), "3 weights"), (np.r_[0.0, np.ones(159)], "row 0")])
def test_weights_that_do_not_suit_are_refused(weight: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_als(some_ratings(), RANKING, 3, 1, 0, weight=weight.astype(np.float32))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("objective", [VALUES, EVERYTHING])
def test_more_factors_than_rank_constant_values_and_rows_of_one_rating(objective: Objective, solver: Solver) -> None:
    user, item = np.array([0, 1, 2, 2], np.int32), np.array([0, 0, 0, 1], np.int32)
    ratings = Ratings(user, item, np.full(4, 3.0, np.float32), np.zeros(4, np.int64), 4, 3)
    fitted = fit_als(ratings, objective, 40, 5, 0, solver=solver)
    found = scores(fitted, ratings)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0, 0], found[1, 0], atol=1e-4)  # alike in, alike out


def test_going_on_from_a_fit_is_the_same_as_not_having_stopped() -> None:
    ratings = some_ratings(8)
    whole = fit_als(ratings, EVERYTHING, 3, 6, 0)
    half = fit_als(ratings, EVERYTHING, 3, 3, 0)
    rest = fit_als(ratings, EVERYTHING, 3, 3, 99, start=half)
    np.testing.assert_allclose(scores(rest, ratings), scores(whole, ratings), atol=1e-4)


def test_a_start_that_is_not_changed_in_place() -> None:
    ratings = dataclasses.replace(some_ratings(9), value=np.ones(160, np.float32))
    start = fit_als(ratings, RANKING, 3, 1, 0)
    before = [np.array(table) for table in start]
    fit_als(ratings, RANKING, 3, 1, 0, start=start)
    for table, kept in zip(start, before, strict=True):
        np.testing.assert_array_equal(jnp.asarray(table), kept)
