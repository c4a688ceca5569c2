"""Lanes in JAX: one compiled program, `vmap` over the lanes; the readable twin of the kernels, and for accelerators.

Each lane takes the steps of `factorization/als.py` with its own objective and weights. Normal matrices are summed by
scattering the outer products of `CHUNK` ratings at a time, so memory is lanes × rows × d² and not ratings × d².
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int32

from recsys_pipeline.core.learning.factorization.objective import Objective
from recsys_pipeline.core.learning.sweeps.fused_lanes import (
    Lane,
    LaneData,
    LaneState,
    initial_items,
    lane_sizes,
    stacked_objective,
    start_mean,
)

CHUNK = 1024


class Pairs(NamedTuple):
    """The ratings that all lanes share, seen from one side, padded to whole chunks."""

    row: Int32[Array, "chunks chunk"]
    column: Int32[Array, "chunks chunk"]
    value: Float[Array, "chunks chunk"]

    def transposed(self) -> "Pairs":
        """The same ratings with users and items exchanged."""
        return self._replace(row=self.column, column=self.row)


class Problem(NamedTuple):
    """What differs between lanes; each array has a leading lane axis outside of `vmap`."""

    objective: Objective
    weight: Float[Array, "chunks chunk"]
    fits_values: Float[Array, ""]
    row_count: Float[Array, " rows"]
    column_count: Float[Array, " columns"]
    n_ratings: Float[Array, ""]
    n_rows: Float[Array, ""]
    n_columns: Float[Array, ""]

    def transposed(self) -> "Problem":
        """The same lane with users and items exchanged."""
        return Problem(
            self.objective.transposed(), self.weight, self.fits_values,
            self.column_count, self.row_count, self.n_ratings, self.n_columns, self.n_rows,
        )  # fmt: skip


class State(NamedTuple):
    """`[u, b]` of rows, `[v, c]` of columns, and μ."""

    row: Float[Array, "rows width"]
    column: Float[Array, "columns width"]
    global_bias: Float[Array, ""]


@dataclass
class JaxBatch:
    """Any number of fits of one shape."""

    pairs: Pairs
    problem: Problem
    states: State

    @classmethod
    def start(cls, data: LaneData, lanes: Sequence[Lane], embedding_size: int, seed: int) -> "JaxBatch":
        """The lanes before their first epoch: users solved from the initial items."""
        pairs, problem = _pairs(data), _problem(data, lanes)
        items = np.pad(initial_items(data.ratings.n_items, embedding_size, seed), ((0, 0), (0, 1)))
        means = jnp.array([start_mean(data.ratings, lane) for lane in lanes], jnp.float32)
        users = jnp.zeros((len(lanes), data.ratings.n_users, embedding_size + 1))
        columns = jnp.asarray(items) * (problem.column_count > 0)[..., None]
        return cls(pairs, problem, _first_rows(State(users, columns, means), pairs, problem))

    @classmethod
    def resume(cls, data: LaneData, lanes: Sequence[Lane], states: Sequence[LaneState]) -> "JaxBatch":
        """The lanes as they were when their states were taken."""
        stacked = State(*(jnp.asarray(np.stack(parts)) for parts in zip(*states, strict=True)))
        return cls(_pairs(data), _problem(data, lanes), stacked)

    def advance(self, epochs: int) -> None:
        """Train every lane for so many epochs more: items, μ, users."""
        self.states = _epochs(self.states, self.pairs, self.problem, epochs)

    def state(self, lane: int) -> LaneState:
        """What one lane has learned so far."""
        user, item, bias = (np.asarray(table[lane]) for table in self.states)
        return LaneState(user, item, float(bias))


def _pairs(data: LaneData) -> Pairs:
    ratings = data.ratings
    return Pairs(*(_chunked(column) for column in (ratings.user, ratings.item, ratings.value)))


def _chunked(column: np.ndarray) -> Any:
    """Whole chunks along the last axis; the padding is 0, and so is its weight."""
    pad = [(0, 0)] * (column.ndim - 1) + [(0, -column.shape[-1] % CHUNK)]
    return jnp.asarray(np.pad(column, pad).reshape(*column.shape[:-1], -1, CHUNK))


def _problem(data: LaneData, lanes: Sequence[Lane]) -> Problem:
    weight = np.stack([lane.weight for lane in lanes], axis=1)
    sizes = lane_sizes(data.ratings, lanes)
    return Problem(
        Objective(*map(jnp.asarray, stacked_objective(lanes))),
        _chunked(np.ascontiguousarray(weight.T)),
        jnp.array([float(lane.fits_values) for lane in lanes]),
        jnp.asarray(sizes.user_count.T),
        jnp.asarray(sizes.item_count.T),
        *(jnp.asarray(total, jnp.float32) for total in sizes[2:]),
    )


def _solve_rows(state: State, pairs: Pairs, lane: Problem) -> State:
    """Every row's exact minimiser, columns fixed; 0 for a row without a rating."""
    objective, seen = lane.objective, (lane.column_count > 0).astype(jnp.float32)
    design = jnp.column_stack([state.column[:, :-1], jnp.full(len(seen), objective.use_user_bias)]) * seen[:, None]
    offset = (state.column[:, -1] + state.global_bias) * seen
    n_rows, width = state.row.shape

    def add(sums: tuple[Array, Array], chunk: tuple[Pairs, Array]) -> tuple[tuple[Array, Array], None]:
        part, weight = chunk
        z, residual = design[part.column], _target(part, lane) - offset[part.column]
        outer = weight[:, None, None] * z[:, :, None] * z[:, None, :]
        return (sums[0].at[part.row].add(outer), sums[1].at[part.row].add((weight * residual)[:, None] * z)), None

    zeros = jnp.zeros((n_rows, width, width)), jnp.zeros((n_rows, width))
    (matrix, right), _ = lax.scan(add, zeros, (pairs, lane.weight))
    per_row = lane.n_ratings / lane.n_rows
    gravity = objective.gravity * per_row / lane.n_columns
    has = lane.row_count > 0
    strength = jnp.where(has, (jnp.where(has, lane.row_count, 1.0) / per_row) ** objective.frequency_power, 1.0)
    ridge = jnp.append(jnp.full(width - 1, objective.reg), objective.bias_reg) * per_row
    matrix = matrix + gravity * jnp.matmul(design.T, design, precision="highest")
    matrix = matrix + (strength[:, None] * ridge)[:, :, None] * jnp.eye(width)
    right = right - gravity * jnp.matmul(design.T, offset, precision="highest")
    factor = lax.linalg.cholesky(matrix, symmetrize_input=False)
    solved = jax.scipy.linalg.cho_solve((factor, True), right[..., None])[..., 0]
    return state._replace(row=jnp.where(has[:, None], solved, 0.0))


def _target(part: Pairs, lane: Problem) -> Array:
    return jnp.where(lane.fits_values > 0, part.value, 1.0)


def _solve_global(state: State, pairs: Pairs, lane: Problem) -> State:
    """μ = (mean over Ω of a (r − s) − λ_G mean over all pairs of s) / (1 + λ_G), where s is the score without μ."""
    left = jnp.column_stack([state.row, jnp.ones(len(state.row))])
    right = jnp.column_stack([state.column[:, :-1], jnp.ones(len(state.column)), state.column[:, -1]])

    def add(total: Array, chunk: tuple[Pairs, Array]) -> tuple[Array, None]:
        part, weight = chunk
        return total + (weight * (_target(part, lane) - (left[part.row] * right[part.column]).sum(1))).sum(), None

    residual, _ = lax.scan(add, jnp.zeros(()), (pairs, lane.weight))
    everywhere = ((lane.row_count > 0) @ left) @ ((lane.column_count > 0) @ right) / (lane.n_rows * lane.n_columns)
    best = residual / lane.n_ratings - lane.objective.gravity * everywhere
    return state._replace(global_bias=lane.objective.use_global_bias * best / (1 + lane.objective.gravity))


def _transposed(state: State) -> State:
    return state._replace(row=state.column, column=state.row)


@jax.jit
@partial(jax.vmap, in_axes=(0, None, 0))
def _first_rows(state: State, pairs: Pairs, lane: Problem) -> State:
    return _solve_rows(state, pairs, lane)


@jax.jit
@partial(jax.vmap, in_axes=(0, None, 0, None))
def _epochs(state: State, pairs: Pairs, lane: Problem, epochs: int | Array) -> State:
    """So many sweeps over columns, μ and rows."""

    def epoch(_: Array, now: State) -> State:
        columns = _transposed(_solve_rows(_transposed(now), pairs.transposed(), lane.transposed()))
        return _solve_rows(_solve_global(columns, pairs, lane), pairs, lane)

    return lax.fori_loop(0, epochs, epoch, state)
