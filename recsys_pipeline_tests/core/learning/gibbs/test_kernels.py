"""The compiled conditionals against their readable twins, and what must not change them."""

import numpy as np
import pytest
from scipy import sparse

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning import row_threads
from recsys_pipeline.core.learning.gibbs import kernels as gibbs_kernels
from recsys_pipeline.core.learning.gibbs import reference as gibbs_reference
from recsys_pipeline.core.learning.gibbs.kernels import Prior, Rows
from recsys_pipeline.core.learning.gibbs.sampler import ByRow, History, Ids

N_ROWS, N_COLUMNS, TAU = 30, 20, 1.7


class Case:
    """Ratings of 0 to 20 per row, two tables of width `k`, and a prior that differs by row."""

    def __init__(self, k: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        taken = generator.random((N_ROWS, N_COLUMNS)) < np.linspace(0, 1, N_ROWS)[:, None]
        taken[5] = False
        shuffled = generator.permutation(np.argwhere(taken)).astype(np.int32)
        self.row, self.column = shuffled[:, 0].copy(), shuffled[:, 1].copy()
        self.matrix = taken

        def normal(*shape: int) -> np.ndarray:
            return generator.standard_normal(shape, np.float32)

        self.target, self.table, self.other = normal(len(self.row)), normal(N_ROWS, k), normal(N_COLUMNS, k)
        self.normals, self.history, self.history_normals = normal(N_ROWS, k), normal(N_COLUMNS, k), normal(N_COLUMNS, k)
        self.precision, self.history_precision = np.exp(normal(k)), np.exp(normal(k))
        self.scale = np.exp(normal(N_ROWS))
        self.prior = Prior(normal(N_ROWS, k), self.precision, self.scale)
        self.by_row = ByRow.of(Ids(self.row, self.column), N_ROWS)
        self.ratings = self.by_row.ratings(self.target)

    def draw(self) -> Rows:
        return gibbs_kernels.draw_rows(self.ratings, self.other, self.prior, TAU, self.normals)

    def draw_history(self) -> tuple[np.ndarray, np.ndarray]:
        """New history vectors, and what they leave unexplained."""
        history = self.history.copy()
        of_rows = History.of(sparse.csr_array(self.matrix.astype(np.float32)))
        by_column = sparse.csr_array(self.matrix.T.astype(np.float32))
        unexplained = self.table - self.prior.mean - of_rows.explained(history)
        gibbs_kernels.draw_history(
            by_column.indptr.astype(np.int64),
            by_column.indices.astype(np.int32),
            of_rows.weight,
            unexplained,
            self.precision,
            self.scale,
            history,
            self.history_precision,
            self.history_normals,
        )
        return history, unexplained


@pytest.mark.parametrize("k", [2, 7, 33])
def test_rows_equal_the_twin(k: int) -> None:
    case = Case(k)
    precision = case.scale[:, None] * case.precision
    mean, draw = gibbs_reference.draw_rows(
        case.row, case.column, case.target, case.other, case.prior.mean, precision, TAU, case.normals
    )
    found = case.draw()
    np.testing.assert_allclose(found.mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.draw, draw, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.mean[5], case.prior.mean[5], rtol=1e-6)  # a row without ratings


def test_residuals_equal_the_twin() -> None:
    case = Case(7)
    twin = gibbs_reference.residuals(case.row, case.column, case.target, case.table, case.other)
    found = gibbs_kernels.residuals(case.ratings, case.table, case.other)
    np.testing.assert_allclose(found, twin[case.by_row.order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [2, 33])
def test_history_equals_the_twin(k: int) -> None:
    case = Case(k)
    weight = 1 / np.sqrt(np.maximum(case.matrix.sum(axis=1), 1))
    twin = gibbs_reference.draw_history(
        case.matrix,
        weight,
        case.table - case.prior.mean,
        case.scale[:, None] * case.precision,
        case.history,
        case.history_precision,
        case.history_normals,
    )
    history, unexplained = case.draw_history()
    np.testing.assert_allclose(history, twin, rtol=1e-4, atol=1e-5)
    left = case.table - case.prior.mean - weight[:, None] * (case.matrix @ history)
    np.testing.assert_allclose(unexplained, left, atol=1e-5)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(7)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(row_threads, "CPU_THREADS", threads)
        rows, (history, _) = case.draw(), case.draw_history()
        found.append(np.concatenate([rows.mean, rows.draw, history]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_draws_have_the_covariance_of_the_conditional() -> None:
    generator, case, n_draws = np.random.default_rng(3), Case(3), 4000
    rated = np.arange(6, dtype=np.int32)  # by each of many equal rows
    ids = Ids(np.repeat(np.arange(n_draws, dtype=np.int32), len(rated)), np.tile(rated, n_draws))
    ratings = ByRow.of(ids, n_draws).ratings(np.zeros(len(ids.row), np.float32))
    prior = Prior(np.zeros((n_draws, 3), np.float32), case.precision, np.full(n_draws, 2, np.float32))
    normals = generator.standard_normal((n_draws, 3), np.float32)
    rows = gibbs_kernels.draw_rows(ratings, case.other, prior, TAU, normals)
    design = case.other[rated].copy()
    design[:, -1] = 1
    expected = np.linalg.inv(TAU * design.T @ design + np.diag(2 * case.precision))
    np.testing.assert_allclose(np.cov(rows.draw.T), expected, atol=0.08 * np.diag(expected).max())
    assert np.ptp(rows.mean, axis=0).max() == 0


def test_a_singular_row_is_an_error_that_names_it() -> None:
    case = Case(3)
    case.other[:, 0] = case.other[:, 1]  # two equal factors, and no prior to tell them apart
    case.prior = case.prior._replace(precision=np.full(3, 1e-30, np.float32))
    with pytest.raises(ModelError, match=r"row \d+ is singular.*raise reg"):
        case.draw()
