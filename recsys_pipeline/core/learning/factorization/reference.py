"""The readable NumPy twin of the factorisation: one row at a time, every pair written out, float64.

`conjugate_gradients` and `subspaces` are one row's steps of the ways that do not solve it exactly.

Far too slow for real data (it holds the whole users × items matrix); tests hold the fast solvers equal to it.
"""

from dataclasses import dataclass

import numpy as np

from recsys_pipeline.core.learning.factorization.objective import Objective
from recsys_pipeline.core.ratings import Ratings

Array = np.ndarray


@dataclass
class Reference:
    """Factors, biases and μ, updated in place by the solver."""

    user: Array
    item: Array
    user_bias: Array
    item_bias: Array
    global_bias: float

    def scores(self) -> Array:
        """û of every pair, `[users, items]`."""
        return self.global_bias + self.user_bias[:, None] + self.item_bias[None, :] + self.user @ self.item.T


def objective_value(model: Reference, ratings: Ratings, objective: Objective, weight: Array) -> float:
    """The objective, term by term, as in `factorization/objective.py`."""
    scores = model.scores()
    users, items = np.unique(ratings.user), np.unique(ratings.item)
    error = np.mean(weight * (ratings.value - scores[ratings.user, ratings.item]) ** 2)
    gravity = np.mean(scores[np.ix_(users, items)] ** 2)
    value = error + objective.gravity * gravity
    for ids, factor, bias in ((ratings.user, model.user, model.user_bias), (ratings.item, model.item, model.item_bias)):
        for row, strength in row_weights(ids, objective, weight).items():
            norm = objective.reg * factor[row] @ factor[row] + objective.bias_reg * bias[row] ** 2
            value += strength * norm / len(np.unique(ids))
    return float(value)


def row_weights(ids: Array, objective: Objective, weight: Array) -> dict[int, float]:
    """`(count / mean count)^ρ` of each row that has an observation; counts are summed weights."""
    rows = np.unique(ids)
    count = np.array([weight[ids == row].sum() for row in rows])
    return dict(zip(rows.tolist(), ((count / count.mean()) ** objective.frequency_power).tolist(), strict=True))


def solve_user(
    model: Reference, ratings: Ratings, objective: Objective, weight: Array, user: int, strength: float
) -> Array:
    """The `[u, b_u]` that minimises the objective for one user, everything else fixed."""
    items = np.unique(ratings.item)
    n_users, n = len(np.unique(ratings.user)), len(ratings)
    design = np.column_stack([model.item, np.full(len(model.item), objective.use_user_bias)])
    offset = model.item_bias + model.global_bias
    own = ratings.user == user
    rated = design[ratings.item[own]]
    residual = ratings.value[own] - offset[ratings.item[own]]
    pull = objective.gravity / (n_users * len(items))
    ridge = strength / n_users * np.diag([objective.reg] * model.item.shape[1] + [objective.bias_reg])
    matrix = rated.T @ (weight[own, None] * rated) / n + pull * design[items].T @ design[items] + ridge
    right = rated.T @ (weight[own] * residual) / n - pull * design[items].T @ offset[items]
    return np.linalg.solve(matrix, right)


def solve_users(model: Reference, ratings: Ratings, objective: Objective, weight: Array) -> None:
    """Solve every user who has an observation."""
    for user, strength in row_weights(ratings.user, objective, weight).items():
        row = solve_user(model, ratings, objective, weight, user, strength)
        model.user[user], model.user_bias[user] = row[:-1], row[-1]


def solve_global(model: Reference, ratings: Ratings, objective: Objective, weight: Array) -> None:
    """Solve μ, where the objective has it."""
    if not objective.use_global_bias:
        return
    scores = model.scores() - model.global_bias
    users, items = np.unique(ratings.user), np.unique(ratings.item)
    residual = np.mean(weight * (ratings.value - scores[ratings.user, ratings.item]))
    everywhere = scores[np.ix_(users, items)].mean()
    model.global_bias = float((residual - objective.gravity * everywhere) / (1 + objective.gravity))


def transposed(model: Reference, ratings: Ratings) -> tuple[Reference, Ratings]:
    """The same arrays and ratings with users and items exchanged; the arrays are shared."""
    swapped = Reference(model.item, model.user, model.item_bias, model.user_bias, model.global_bias)
    exchanged = Ratings(
        ratings.item, ratings.user, ratings.value, ratings.timestamp_us, ratings.n_items, ratings.n_users
    )
    return swapped, exchanged


def epoch(model: Reference, ratings: Ratings, objective: Objective, weight: Array) -> None:
    """One sweep over items, μ and users."""
    solve_users(*transposed(model, ratings), objective.transposed(), weight)
    solve_global(model, ratings, objective, weight)
    solve_users(model, ratings, objective, weight)


def conjugate_gradients(matrix: Array, right: Array, x: Array, steps: int) -> Array:
    """`steps` of conjugate gradients from x, preconditioned by the diagonal (Nocedal & Wright, algorithm 5.3)."""
    residual = right - matrix @ x
    scaled = residual / np.diag(matrix)
    direction = scaled.copy()
    for _ in range(steps):
        size = residual @ scaled
        length = size / (direction @ matrix @ direction)
        x = x + length * direction
        residual = residual - length * matrix @ direction
        scaled = residual / np.diag(matrix)
        direction = scaled + (residual @ scaled) / size * direction
    return x


def subspaces(matrix: Array, right: Array, x: Array, block: int) -> Array:
    """One exact minimisation over each block of coordinates in turn, the others as they are (iALS++, section 3)."""
    x = x.copy()
    for first in range(0, len(x), block):
        own = slice(first, first + block)
        x[own] += np.linalg.solve(matrix[own, own], right[own] - matrix[own] @ x)
    return x
