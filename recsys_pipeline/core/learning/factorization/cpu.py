"""Alternating least squares on the CPU: tables in NumPy, rows solved by compiled kernels in all cores' threads.

A half-sweep over users first brings the items' design `[v, 1]` into the basis in which the ridge is a multiple of the
identity and gravity's Gramian is diagonal: the bias column is scaled by √(λ_R / λ_B), and the columns are rotated by
the eigenvectors of ZᵀZ. That costs O(M d²) once and spares each row a d × d product. The items are the same with the
sides exchanged. Objective and symbols: `factorization/objective.py`.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.learning.factorization.kernels import EXACT, GRADIENTS, SUBSPACE, solve_rows
from recsys_pipeline.core.learning.factorization.objective import Objective, Totals
from recsys_pipeline.core.learning.factorization.rows import RatingRows
from recsys_pipeline.core.learning.factorization.sums import add_errors, change_basis, eigenbasis, gramian
from recsys_pipeline.core.learning.row_threads import ranges_of_equal_work, run_over_ranges
from recsys_pipeline.core.learning.small_systems import LANES

Solver = Literal["als", "cg", "subspace"]
METHODS = {"als": EXACT, "cg": GRADIENTS, "subspace": SUBSPACE}
STEPS, STEPS_WITHOUT_GRAVITY = 3, 2
"""Conjugate gradient steps per row and half-sweep: as `implicit` takes by default; and for values, where a third step
changed no digit of the RMSE on MovieLens 1M and made an epoch a fifth longer."""
NARROW = 32
"""Up to so many columns Cholesky is as quick as the steps, and is taken in their place."""
LAST_STEPS, LAST_TOLERANCE = 64, 1e-6
"""The last half-sweep is solved to float32's precision, so that folding in gives trained users their vectors."""


class Side(NamedTuple):
    """Factors and biases of one side, and the summed weight of each row's ratings; updated in place."""

    factor: Float32[np.ndarray, "rows d"]
    bias: Float32[np.ndarray, " rows"]
    count: Float32[np.ndarray, " rows"]


class Prepared(NamedTuple):
    """The fixed side in the basis of the module docstring, and what else `solve_rows` takes of it."""

    design: np.ndarray
    offset: np.ndarray
    eigenvalues: np.ndarray
    pull: np.ndarray
    basis: np.ndarray


def solve_side(
    own: Side, fixed: Side, rows: RatingRows, global_bias: float, objective: Objective, totals: Totals,
    solver: Solver = "als", steps: int = LAST_STEPS, tolerance: float = LAST_TOLERANCE,
) -> None:  # fmt: skip
    """Solve the rows of `own` in place, `fixed` as it is; `objective` and `totals` are seen from `own` as users."""
    per_row = totals.ratings / totals.users
    gravity = float(objective.gravity * per_row / totals.items)
    scale = float(np.sqrt(objective.reg / objective.bias_reg)) if objective.use_user_bias else 0.0
    ridge = objective.reg * per_row * row_weight(own.count, objective, totals)
    prepared = prepare(fixed, global_bias, scale, gravity)
    exact = solver == "als" or (solver == "cg" and prepared.design.shape[1] <= NARROW)
    edges = ranges_of_equal_work(rows.start)
    run_over_ranges(
        solve_rows, edges, *rows, *prepared, ridge.astype(np.float32), np.float32(scale),
        own.factor, own.bias, EXACT if exact else METHODS[solver], steps, np.float32(tolerance),
    )  # fmt: skip


def prepare(fixed: Side, global_bias: float, scale: float, gravity: float) -> Prepared:
    """The fixed side's design, rotated where there is gravity; rows without ratings are zero."""
    n, d = fixed.factor.shape
    width = -(-(d + (scale > 0)) // LANES) * LANES
    seen = fixed.count > 0
    design = np.zeros((n, width), np.float32)
    design[:, :d] = fixed.factor
    if scale > 0:
        design[:, d] = scale * seen
    offset = ((fixed.bias + np.float32(global_bias)) * seen).astype(np.float32)
    if gravity == 0:
        nothing = np.zeros(width, np.float32)
        return Prepared(design, offset, nothing, nothing, np.zeros((0, width, width), np.float32))
    eigenvalues, vectors = eigenbasis(gravity * gramian(design))
    pull = -gravity * np.einsum("nk,n->k", design, offset, dtype=np.float64) @ vectors
    basis = vectors.astype(np.float32)
    change_basis(design, np.ascontiguousarray(basis))
    return Prepared(
        design,
        offset,
        np.maximum(eigenvalues, 0).astype(np.float32),
        pull.astype(np.float32),
        np.ascontiguousarray(np.stack([basis, basis.T])),
    )


def row_weight(
    count: Float32[np.ndarray, " rows"], objective: Objective, totals: Totals
) -> Float32[np.ndarray, " rows"]:
    """`(count / mean count)^ρ`; 1 for rows without observations. NumPy twin of `frequency_weight`."""
    relative = np.where(count > 0, count, 1.0) * (totals.users / totals.ratings)
    return np.where(count > 0, relative**objective.frequency_power, 1.0).astype(np.float32)


class CpuFit:
    """One fit: both sides' tables and ratings by row.

    An epoch solves items, μ and users, in this order, so that a user's final row is what `fold_in` gives for the same
    history.
    """

    def __init__(
        self, users: Side, items: Side, user_rows: RatingRows, item_rows: RatingRows, global_bias: float,
        objective: Objective, totals: Totals, solver: Solver,
    ) -> None:  # fmt: skip
        self.users, self.items = users, items
        self.global_bias = global_bias
        self._user_rows, self._item_rows = user_rows, item_rows
        self._objective, self._totals = objective, totals
        self._solver: Solver = solver
        self._steps = STEPS if objective.gravity > 0 else STEPS_WITHOUT_GRAVITY

    def solve_users(self, is_last: bool = False) -> None:
        """Solve the users' rows; to float32's precision where they are the last."""
        # The exact way is its own last half-sweep; the others end by conjugate gradients that run until they are done.
        solver: Solver = "cg" if is_last and self._solver != "als" else self._solver
        steps = LAST_STEPS if is_last else self._steps
        solve_side(
            self.users, self.items, self._user_rows, self.global_bias, self._objective, self._totals, solver, steps
        )

    def run_epoch(self, is_last: bool) -> None:
        """One sweep over items, μ and users."""
        objective, totals = self._objective.transposed(), self._totals.transposed()
        solve_side(
            self.items, self.users, self._item_rows, self.global_bias, objective, totals, self._solver, self._steps
        )
        if objective.use_global_bias:
            self._solve_global()
        self.solve_users(is_last)

    def _solve_global(self) -> None:
        self.global_bias = 0.0
        left, right = self._extended()
        residual, _ = self._errors(left, right)
        everywhere = float(left.sum(0, dtype=np.float64) @ right.sum(0, dtype=np.float64))
        best = residual / self._totals.ratings - self._objective.gravity * everywhere / self._pairs()
        self.global_bias = float(best / (1 + self._objective.gravity))

    def objective_value(self) -> float:
        """The objective of `factorization/objective.py`, in one pass over the ratings."""
        left, right = self._extended()
        value = self._errors(left, right)[1] / self._totals.ratings
        if self._objective.gravity > 0:
            value += self._objective.gravity * float((gramian(left) * gramian(right)).sum()) / self._pairs()
        sides = ((self.users, self._totals), (self.items, self._totals.transposed()))
        return float(value) + sum(self._penalty(side, totals) for side, totals in sides)

    def _penalty(self, side: Side, totals: Totals) -> float:
        weight = row_weight(side.count, self._objective, totals).astype(np.float64)
        norm = np.einsum("nd,nd->n", side.factor, side.factor)
        squares = self._objective.reg * norm + self._objective.bias_reg * side.bias.astype(np.float64) ** 2
        return float(weight @ squares / totals.users)

    def _pairs(self) -> float:
        return float(self._totals.users * self._totals.items)

    def _errors(self, left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
        edges = ranges_of_equal_work(self._user_rows.start)
        parts = run_over_ranges(add_errors, edges, *self._user_rows, left, right)
        return sum(part[0] for part in parts), sum(part[1] for part in parts)

    def _extended(self) -> tuple[np.ndarray, np.ndarray]:
        """`[u, b_u, 1]` and `[v, 1, c_i + μ]`, zero where there are no ratings, filled up with columns of zeros."""
        d = self.users.factor.shape[1]
        width = -(-(d + 2) // LANES) * LANES
        left, right = (np.zeros((len(side.bias), width), np.float32) for side in (self.users, self.items))
        left[:, :d], right[:, :d] = self.users.factor, self.items.factor
        left[:, d], right[:, d] = self.users.bias, self.items.count > 0
        left[:, d + 1] = self.users.count > 0
        right[:, d + 1] = (self.items.bias + np.float32(self.global_bias)) * (self.items.count > 0)
        return left, right
