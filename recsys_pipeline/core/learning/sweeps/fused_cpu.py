"""Lanes on the CPU: alternating least squares by the kernels of `fused_kernels.py`, eight fits at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from recsys_pipeline.core.learning.factorization.objective import Objective
from recsys_pipeline.core.learning.row_threads import even_ranges, ranges_of_equal_work, run_over_ranges
from recsys_pipeline.core.learning.sweeps.fused_kernels import LANES, gram_range, residual_range, solve_range
from recsys_pipeline.core.learning.sweeps.fused_lanes import (
    Lane,
    LaneData,
    LaneSizes,
    LaneState,
    initial_items,
    lane_sizes,
    stacked_objective,
    start_mean,
)


class Side(NamedTuple):
    """Ratings sorted by row for solving one side, and what each row's regression adds to them."""

    starts: Int64[np.ndarray, " rows_and_end"]
    columns: Int32[np.ndarray, " kept"]
    values: Float32[np.ndarray, " kept"]
    weights: Float32[np.ndarray, "kept_or_none lanes"]
    """Empty where every lane learns from every rating with weight 1."""
    target: Float32[np.ndarray, "2 lanes"]
    """What is fitted is `target[0] value + target[1]`."""
    ridge: Float32[np.ndarray, "width lanes"]
    strength: Float32[np.ndarray, "rows lanes"]
    """Frequency weight of each row, by which `ridge` is multiplied."""
    seen: Float32[np.ndarray, "rows lanes"]
    """1 where a row has a rating that the lane learns from."""
    flag: Float32[np.ndarray, " lanes"]
    """1 where rows of this side have a bias."""
    gravity: Float32[np.ndarray, " lanes"]


@dataclass
class CpuBatch:
    """Up to `LANES` fits; those that are missing repeat the last one and are never read."""

    users: Side
    items: Side
    gravity: Float32[np.ndarray, " lanes"]
    use_global: Float32[np.ndarray, " lanes"]
    n_ratings: Float64[np.ndarray, " lanes"]
    user: Float32[np.ndarray, "users width_lanes"]
    """`[u, b]` of every user, lanes innermost."""
    item: Float32[np.ndarray, "items width_lanes"]
    """`[v, c]` of every item, lanes innermost."""
    global_bias: Float32[np.ndarray, " lanes"]

    @classmethod
    def start(cls, data: LaneData, lanes: Sequence[Lane], embedding_size: int, seed: int) -> "CpuBatch":
        """The lanes before their first epoch: users solved from the initial items."""
        batch = cls._empty(data, _filled(lanes), embedding_size)
        first = initial_items(len(batch.item), embedding_size, seed)
        batch.item.reshape(len(first), -1, LANES)[:, :-1] = first[:, :, None] * batch.items.seen[:, None, :]
        batch.global_bias[:] = [start_mean(data.ratings, lane) for lane in _filled(lanes)]
        batch.user = _solved(batch.users, batch.items, batch.item, batch.global_bias)
        return batch

    @classmethod
    def resume(cls, data: LaneData, lanes: Sequence[Lane], states: Sequence[LaneState]) -> "CpuBatch":
        """The lanes as they were when their states were taken."""
        states = [*states, *[states[-1]] * (LANES - len(states))]
        batch = cls._empty(data, _filled(lanes), states[0].user.shape[1] - 1)
        for lane, state in enumerate(states):
            batch.user[:, lane::LANES], batch.item[:, lane::LANES] = state.user, state.item
            batch.global_bias[lane] = state.global_bias
        return batch

    @classmethod
    def _empty(cls, data: LaneData, lanes: Sequence[Lane], embedding_size: int) -> "CpuBatch":
        weight = np.stack([lane.weight for lane in lanes], axis=1)
        objective, sizes = stacked_objective(lanes), lane_sizes(data.ratings, lanes)
        fits_values = np.array([lane.fits_values for lane in lanes])
        target = np.stack([fits_values, ~fits_values]).astype(np.float32)
        n_users, n_items, width = data.ratings.n_users, data.ratings.n_items, (embedding_size + 1) * LANES
        return cls(
            users=_side(data, weight, objective, sizes, embedding_size, target),
            items=_side(data.transposed, weight, objective.transposed(), sizes.transposed(), embedding_size, target),
            gravity=np.asarray(objective.gravity),
            use_global=np.asarray(objective.use_global_bias),
            n_ratings=sizes.ratings,
            user=np.zeros((n_users, width), np.float32),
            item=np.zeros((n_items, width), np.float32),
            global_bias=np.zeros(LANES, np.float32),
        )

    def advance(self, epochs: int) -> None:
        """Train every lane for so many epochs more: items, μ, users."""
        for _ in range(epochs):
            self.item = _solved(self.items, self.users, self.user, self.global_bias)
            if self.use_global.any():
                self.global_bias = self._best_global()
            self.user = _solved(self.users, self.items, self.item, self.global_bias)

    def state(self, lane: int) -> LaneState:
        """What one lane has learned so far."""
        user, item = self.user[:, lane::LANES].copy(), self.item[:, lane::LANES].copy()
        return LaneState(user, item, float(self.global_bias[lane]))

    def _best_global(self) -> Float32[np.ndarray, " lanes"]:
        """The minimiser μ = (mean over Ω of a (r − s) − λ_G mean over all pairs of s) / (1 + λ_G), s without μ."""
        users, items = self.users, self.items
        design = _design(users, items, self.item, np.zeros(LANES, np.float32))
        edges = ranges_of_equal_work(users.starts)
        residuals = run_over_ranges(residual_range, edges, *users[:5], self.user, design)
        left = np.concatenate([users.seen.sum(0, np.float64)[None], _lane_sums(self.user)])
        everywhere = (left * _lane_sums(design)).sum(0)
        pairs = users.seen.sum(0, np.float64) * items.seen.sum(0, np.float64)
        best = np.sum(residuals, axis=0) / self.n_ratings - self.gravity * everywhere / np.maximum(pairs, 1)
        return (self.use_global * best / (1 + self.gravity)).astype(np.float32)


def _filled(lanes: Sequence[Lane]) -> list[Lane]:
    return [*lanes, *[lanes[-1]] * (LANES - len(lanes))]


def _lane_sums(table: Float32[np.ndarray, "rows width_lanes"]) -> Float64[np.ndarray, "width lanes"]:
    return table.sum(0, np.float64).reshape(-1, LANES)


def _side(
    data: LaneData, weight: np.ndarray, objective: Objective, sizes: LaneSizes, d: int, target: np.ndarray
) -> Side:
    """The side of the users; for the items', hand in everything transposed."""
    ratings, count, per_row = data.ratings, sizes.user_count, sizes.ratings / sizes.users
    order = data.order[np.asarray(weight.any(axis=1))[data.order]]
    kept, seen = weight[order], np.asarray(count > 0)
    frequency = (np.where(seen, count, 1) / per_row) ** objective.frequency_power
    ridge = np.stack([np.asarray(objective.reg)] * d + [np.asarray(objective.bias_reg)]) * per_row
    return Side(
        starts=np.append(0, np.cumsum(np.bincount(ratings.user[order], minlength=ratings.n_users))),
        columns=ratings.item[order],
        values=ratings.value[order],
        weights=kept[:0] if (kept == 1).all() else kept,
        target=target,
        ridge=ridge.astype(np.float32),
        strength=np.where(seen, frequency, 1).astype(np.float32),
        seen=seen.astype(np.float32),
        flag=np.asarray(objective.use_user_bias),
        gravity=np.asarray(objective.gravity * per_row / sizes.items, np.float32),
    )


def _solved(side: Side, fixed: Side, solution: np.ndarray, global_bias: np.ndarray) -> np.ndarray:
    """The exact minimiser of every row of `side`, the solution of the `fixed` side given; 0 where it has no rating."""
    design = _design(side, fixed, solution, global_bias)
    out = np.zeros((len(side.strength), design.shape[1] - LANES), np.float32)
    gravity = _all_pairs(design, side.gravity)
    edges = ranges_of_equal_work(side.starts)
    run_over_ranges(solve_range, edges, *side[:5], design, gravity, side.ridge, side.strength, out)
    if not side.seen.all():
        out.reshape(len(out), -1, LANES)[:] *= side.seen[:, None, :]
    return out


def _design(side: Side, fixed: Side, solution: np.ndarray, global_bias: np.ndarray) -> np.ndarray:
    """`[c + μ, v, 1]` of the fixed side, 0 where it has no rating; the 1 is a 0 where the solved side has no bias."""
    own = solution.reshape(len(solution), -1, LANES)
    design = np.empty((len(own), own.shape[1] + 1, LANES), np.float32)
    design[:, 0] = (own[:, -1] + global_bias) * fixed.seen
    design[:, 1:-1] = own[:, :-1]
    design[:, -1] = side.flag * fixed.seen
    return design.reshape(len(design), -1)


def _all_pairs(design: np.ndarray, gravity: np.ndarray) -> np.ndarray:
    """What gravity adds to every row's normal equations, as the kernels store them: g ZᵀZ, and −g Zᵀo in column 0."""
    n = design.shape[1] // LANES
    if not gravity.any():
        return np.zeros((n, n * LANES), np.float32)
    parts = run_over_ranges(gram_range, even_ranges(len(design)), design)
    gram = np.sum(parts, axis=0, dtype=np.float64).reshape(n, n, LANES) * gravity
    gram[:, 0] *= -1
    return gram.reshape(n, -1).astype(np.float32)
