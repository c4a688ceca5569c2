"""Alternating least squares: one function, the way to solve rows a setting, on whichever device there is.

On the CPU rows are solved by compiled kernels (`factorization/cpu.py`), on an accelerator exactly, by JAX
(`factorization/jax_solver.py`). Both take the same steps from the same start, and a test holds them equal.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.learning.factorization.cpu import CpuFit, Side, Solver, solve_side
from recsys_pipeline.core.learning.factorization.jax_solver import fit_jax
from recsys_pipeline.core.learning.factorization.objective import (
    Factors,
    Objective,
    Observations,
    Totals,
    Weight,
    counts,
    initial_factors,
    padded_size,
    totals_of,
)
from recsys_pipeline.core.learning.factorization.rows import rating_rows
from recsys_pipeline.core.ratings import Ratings


def fit_als(
    ratings: Ratings,
    objective: Objective,
    embedding_size: int,
    epochs: int,
    seed: int,
    on_epoch: Callable[[int, float], None] | None = None,
    weight: Weight | None = None,
    solver: Solver = "als",
    start: Factors | None = None,
    on_cpu: bool | None = None,
) -> Factors:
    """Minimise the objective by `epochs` sweeps over items and users; `on_epoch(number, objective value)` where given.

    `weight` is one positive number per rating, 1 on average; all 1 where it is None. `start` holds item factors (and
    user factors, for the ways that go on from a row instead of solving it anew) to begin with, in padded tables as this
    function returns them; drawn from `seed` where it is None. `on_cpu` is whether JAX's default device is the CPU,
    unless set; accelerators know only the exact way, "als".

    Returns padded tables: rows past `n_users` and `n_items` are zero.

    Raises:
        SettingError: a penalty is not positive, gravity is negative, or one of them is not finite.
        DataError: `weight` does not suit the ratings.
    """
    check_objective(objective)
    weight = np.ones(len(ratings), np.float32) if weight is None else weight
    _check_weight(weight, len(ratings))
    start = start or first_factors(ratings, weight, objective, embedding_size, seed)
    if not (jax.default_backend() == "cpu" if on_cpu is None else on_cpu):
        return fit_jax(ratings, objective, epochs, start, on_epoch, weight)
    fit = _cpu_fit(ratings, weight, objective, embedding_size, start, solver)
    fit.solve_users(is_last=epochs == 0)
    for number in range(1, epochs + 1):
        fit.run_epoch(is_last=number == epochs)
        if on_epoch is not None:
            on_epoch(number, fit.objective_value())
    return _padded(fit, start)


def first_factors(ratings: Ratings, weight: Weight, objective: Objective, embedding_size: int, seed: int) -> Factors:
    """What a fit starts from: drawn items, users of zero, μ at the mean value where the objective has it."""
    mean = float(ratings.value.mean(dtype=np.float64)) if len(ratings) else 0.0
    none, nothing = jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.float32)
    observed = Observations(
        none, none, nothing, nothing,
        jnp.asarray(counts(ratings.user, weight, padded_size(ratings.n_users))),
        jnp.asarray(counts(ratings.item, weight, padded_size(ratings.n_items))),
    )  # fmt: skip
    return initial_factors(observed, embedding_size, mean * float(objective.use_global_bias), seed)


def check_objective(objective: Objective) -> None:
    """Raise `SettingError` for weights under which a row may have no single solution."""
    for name in ("reg", "bias_reg"):
        if not (np.isfinite(value := float(getattr(objective, name))) and value > 0):
            raise SettingError(
                f"{name} is {value}: it must be finite and above 0 (rows with few ratings are singular without)"
            )
    for name in ("gravity", "frequency_power"):
        if not (np.isfinite(value := float(getattr(objective, name))) and value >= 0):
            raise SettingError(f"{name} is {value}: it must be finite and at least 0")


def solve_new_rows(
    histories: Ratings,
    vectors: Float32[np.ndarray, "items dim"],
    count: Float32[np.ndarray, " items"],
    objective: Objective,
    totals: Totals,
    weight: Weight,
    solver: Solver = "als",
) -> Float32[np.ndarray, "users dim"]:
    """Vectors `[u, b_u, 1]` of the histories' users against fixed items `[v, 1, c_i + μ]` with the weights `count`.

    `totals` are those of the training set. New items are solved by the same function, with everything transposed: users
    `[u, 1, b_u + μ]` in the place of items, and of the result `[v, c_i, 1]`.

    Raises:
        DataError: `weight` does not suit the histories.
    """
    _check_weight(weight, len(histories))
    d = vectors.shape[1] - 2
    rows = rating_rows(histories.user, histories.item, histories.value, weight, histories.n_users)
    new = _empty_side(histories.n_users, d, counts(histories.user, weight, histories.n_users))
    fixed = Side(np.ascontiguousarray(vectors[:, :d]), np.ascontiguousarray(vectors[:, d + 1]), count)
    solve_side(new, fixed, rows, 0.0, objective, totals, "als" if solver == "als" else "cg")
    return np.column_stack([new.factor, new.bias, np.ones_like(new.bias)])


def _cpu_fit(
    ratings: Ratings, weight: Weight, objective: Objective, embedding_size: int, start: Factors, solver: Solver
) -> CpuFit:
    users = _empty_side(ratings.n_users, embedding_size, counts(ratings.user, weight, ratings.n_users))
    items = _empty_side(ratings.n_items, embedding_size, counts(ratings.item, weight, ratings.n_items))
    for side, factor, bias in ((users, start.user, start.user_bias), (items, start.item, start.item_bias)):
        side.factor[:] = np.asarray(factor)[: len(side.bias), :embedding_size]
        side.bias[:] = np.asarray(bias)[: len(side.bias)]
    user_rows = rating_rows(ratings.user, ratings.item, ratings.value, weight, ratings.n_users)
    item_rows = rating_rows(ratings.item, ratings.user, ratings.value, weight, ratings.n_items)
    return CpuFit(users, items, user_rows, item_rows, float(start.global_bias), objective, totals_of(ratings), solver)


def _empty_side(n: int, d: int, count: np.ndarray) -> Side:
    return Side(np.zeros((n, d), np.float32), np.zeros(n, np.float32), count)


def _padded(fit: CpuFit, like: Factors) -> Factors:
    def pad(table: np.ndarray, shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(np.pad(table, [(0, size - own) for size, own in zip(shape, table.shape, strict=True)]))

    return Factors(
        pad(fit.users.factor, like.user.shape),
        pad(fit.items.factor, like.item.shape),
        pad(fit.users.bias, like.user_bias.shape),
        pad(fit.items.bias, like.item_bias.shape),
        jnp.asarray(fit.global_bias, jnp.float32),
    )


def _check_weight(weight: Weight, n: int) -> None:
    if len(weight) != n:
        raise DataError(f"{len(weight)} weights for {n} ratings: give one per rating, or None")
    if len(bad := np.flatnonzero(~((weight > 0) & np.isfinite(weight)))):
        raise DataError(f"the weight of row {bad[0]} is {weight[bad[0]]}: weights must be finite and above 0")
