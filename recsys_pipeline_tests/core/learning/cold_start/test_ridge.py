"""The closed form against the readable twins: normal equations, and a new solution for each row that is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.cold_start.ridge import fit_ridge, left_out_error, solve_ridge


def problem(seed: int, n: int = 17, p: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((n, p)) * [1, 0.1, 3, 1] + 2
    targets = columns @ rng.standard_normal((p, 3)) + rng.standard_normal((n, 3)) + 5
    return columns, targets, rng.uniform(0.1, 4, n)


@pytest.mark.parametrize("reg", [1e-6, 0.01, 1.0, 50.0])
def test_the_closed_form_solves_the_normal_equations(reg: float) -> None:
    columns, targets, weights = problem(0)
    found = fit_ridge(columns, targets, weights, [reg])
    expected = solve_ridge(columns, targets, weights / weights.sum(), reg)
    np.testing.assert_allclose(found.linear.coefficients, expected.coefficients, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.linear.intercept, expected.intercept, rtol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), reg=st.floats(1e-4, 10), n=st.integers(3, 20))
def test_the_leave_one_out_error_is_that_of_leaving_each_row_out(seed: int, reg: float, n: int) -> None:
    columns, targets, weights = problem(seed, n)
    weights /= weights.sum()
    found = fit_ridge(columns, targets, weights, [reg]).errors[0]
    assert found == pytest.approx(left_out_error(columns, targets, weights, reg), rel=1e-6)


def test_the_penalty_with_the_smallest_error_is_chosen() -> None:
    columns, targets, weights = problem(3)
    regs = [1e-3, 0.1, 10.0, 1000.0]
    found = fit_ridge(columns, targets, weights, regs)
    errors = [left_out_error(columns, targets, weights / weights.sum(), reg) for reg in regs]
    assert found.reg == regs[int(np.argmin(errors))]
    assert np.argmin(errors) > 0 or found.reg == regs[0]


def test_pure_noise_is_shrunk_to_the_mean_and_a_clear_line_is_not() -> None:
    rng = np.random.default_rng(0)
    columns, weights = rng.standard_normal((60, 20)), np.ones(60)
    noise = rng.standard_normal((60, 2))
    assert fit_ridge(columns, noise, weights, [1e-4, 1e3]).reg == 1e3
    assert fit_ridge(columns, columns[:, :2], weights, [1e-4, 1e3]).reg == 1e-4


def test_rows_of_no_weight_change_nothing() -> None:
    columns, targets, weights = problem(1)
    held_out = np.arange(len(weights)) % 3 == 0
    wild = np.where(held_out[:, None], 1e6, targets)
    found = fit_ridge(columns, wild, np.where(held_out, 0, weights), [0.1])
    expected = fit_ridge(columns[~held_out], targets[~held_out], weights[~held_out], [0.1])
    np.testing.assert_array_equal(found.linear.coefficients, expected.linear.coefficients)


def test_one_row_is_refused() -> None:
    columns, targets, weights = problem(0)
    with pytest.raises(ModelError, match="it takes 2"):
        fit_ridge(columns, targets, np.where(np.arange(len(weights)) == 0, weights, 0), [0.1])
