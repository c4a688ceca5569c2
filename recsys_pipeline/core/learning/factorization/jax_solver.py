"""Alternating least squares in JAX: with one side fixed, each row of the other is solved exactly.

For a user the objective is a ridge regression of `r − (c_i + μ)` on `[v, 1]`. Times |Ω|, its normal equations are

    (Σ_Ω_u a z zᵀ + g ZᵀZ + D) [u, b_u] = Σ_Ω_u a z (r − o) − g Zᵀo,    z = [v, 1], o = c_i + μ, g = λ_G |Ω| / (N M)

where Z and o run over all seen items and D is diagonal (λ_R w_u |Ω| / N; λ_B w_u |Ω| / N for the bias). The items are
the same with the sides exchanged. Rows are sorted by length and solved some at a time; each chunk walks its ratings in
blocks, as many as its longest row needs, so that no padded copy of the data is stored and one compilation serves rows
of every length. `factorization/reference.py` is the readable twin.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int32

from recsys_pipeline.core.learning.factorization.objective import (
    Factors,
    Objective,
    Observations,
    Totals,
    Weight,
    extended,
    frequency_weight,
    objective_value,
    observe,
    padded_size,
    squared_error,
    totals_of,
)
from recsys_pipeline.core.ratings import Ratings

LONG_ROW = 64
"""Rows with more ratings than this are long."""

SHORT_ROWS, SHORT_BLOCK = 256, 16
LONG_ROWS, LONG_BLOCK = 64, 64
"""Rows solved at once, and ratings of each taken at once. Few long rows at a time, because all walk as far as the
longest: on ML-1M 64 at a time compute on 1.3 times the ratings that there are, 256 at a time on 2.0 times."""


class RowGroup(NamedTuple):
    """Rows of similar length in chunks: row number (out of range for padding), first rating, number of ratings."""

    row: Int32[Array, "chunks rows"]
    start: Int32[Array, "chunks rows"]
    count: Int32[Array, "chunks rows"]


class Rows(NamedTuple):
    """One side's ratings sorted by row, and the rows in groups by length."""

    column: Int32[Array, " ratings"]
    value: Float32[Array, " ratings"]
    root_weight: Float32[Array, " ratings"]
    short: RowGroup
    long: RowGroup


def rows_of(
    ids: Int32[np.ndarray, " n"],
    columns: Int32[np.ndarray, " n"],
    values: Float32[np.ndarray, " n"],
    weight: Weight,
    size: int,
) -> Rows:
    """Sort the ratings by row id and group the rows by their length; `size` is the table's padded size."""
    order = np.argsort(ids, kind="stable")
    pad = (0, padded_size(len(ids)) - len(ids))
    count = np.bincount(ids, minlength=size)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    by_length = np.argsort(count, kind="stable")
    short = by_length[(count[by_length] > 0) & (count[by_length] <= LONG_ROW)]
    long = by_length[count[by_length] > LONG_ROW]
    return Rows(
        jnp.asarray(np.pad(columns[order], pad)),
        jnp.asarray(np.pad(values[order], pad)),
        jnp.asarray(np.pad(np.sqrt(weight[order]), pad)),
        _group(short, start, count, size, SHORT_ROWS),
        _group(long, start, count, size, LONG_ROWS),
    )


def _group(rows: np.ndarray, start: np.ndarray, count: np.ndarray, size: int, at_once: int) -> RowGroup:
    width = min(at_once, padded_size(len(rows)))
    pad = (0, -len(rows) % width)

    def chunks(column: np.ndarray, fill: int) -> Array:
        return jnp.asarray(np.pad(column, pad, constant_values=fill).astype(np.int32).reshape(-1, width))

    return RowGroup(chunks(rows, size), chunks(start[rows], 0), chunks(count[rows], 0))


def _normal_equations(
    rows: Rows, start: Array, count: Array, design: Array, offset: Array, block: int
) -> tuple[Float[Array, "rows dim dim"], Float[Array, "rows dim"]]:
    """`Σ a z zᵀ` and `Σ a z (r − o)` of one chunk of rows, `block` ratings of each row at a time."""
    step = jnp.arange(block, dtype=jnp.int32)

    def add(index: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        within = index * block + step
        position = jnp.minimum(start[:, None] + within, len(rows.column) - 1)
        column = rows.column[position]
        root = jnp.where(within < count[:, None], rows.root_weight[position], 0.0)
        z = design[column] * root[..., None]
        residual = (rows.value[position] - offset[column]) * root
        matrix = jnp.einsum("rbd,rbe->rde", z, z, precision="highest")
        return sums[0] + matrix, sums[1] + jnp.einsum("rbd,rb->rd", z, residual, precision="highest")

    dim = design.shape[1]
    zeros = jnp.zeros((len(start), dim, dim)), jnp.zeros((len(start), dim))
    return lax.fori_loop(0, (count.max() + block - 1) // block, add, zeros)


def _solve_group(
    group: RowGroup, rows: Rows, design: Array, offset: Array, weight: Array, ridge: Array, gravity: Array, block: int
) -> Float[Array, "chunks rows dim"]:
    gram = gravity * jnp.matmul(design.T, design, precision="highest")
    pull = -gravity * jnp.matmul(design.T, offset, precision="highest")

    def solve(chunk: RowGroup) -> Array:
        matrix, right = _normal_equations(rows, chunk.start, chunk.count, design, offset, block)
        diagonal = weight[jnp.minimum(chunk.row, len(weight) - 1)][:, None] * ridge
        matrix = matrix + gram + diagonal[:, :, None] * jnp.eye(len(ridge))
        factor = lax.linalg.cholesky(matrix, symmetrize_input=False)
        return jax.scipy.linalg.cho_solve((factor, True), (right + pull)[..., None])[..., 0]

    return lax.map(solve, group)


def solve_users(
    rows: Rows, factors: Factors, user_count: Array, item_count: Array, objective: Objective, totals: Totals
) -> Factors:
    """The factors with every user's row and bias replaced by the exact minimiser, items fixed."""
    d = factors.item.shape[1]
    seen = (item_count > 0).astype(jnp.float32)
    design = jnp.column_stack([factors.item, jnp.full_like(factors.item_bias, objective.use_user_bias)]) * seen[:, None]
    offset = (factors.item_bias + factors.global_bias) * seen
    per_user = totals.ratings / totals.users
    ridge = jnp.append(jnp.full(d, objective.reg), objective.bias_reg) * per_user
    weight = frequency_weight(user_count, totals.ratings, totals.users, objective.frequency_power)
    gravity = jnp.asarray(objective.gravity * per_user / totals.items)
    solved = jnp.zeros((len(user_count), d + 1))
    for group, block in ((rows.short, SHORT_BLOCK), (rows.long, LONG_BLOCK)):
        if len(group.row):
            found = _solve_group(group, rows, design, offset, weight, ridge, gravity, block)
            solved = solved.at[group.row.ravel()].set(found.reshape(-1, d + 1), mode="drop")
    return factors._replace(user=solved[:, :d], user_bias=solved[:, d])


def solve_global(factors: Factors, observed: Observations, objective: Objective, totals: Totals) -> Factors:
    """The factors with μ replaced by its minimiser, `(mean over Ω of (r − s) − λ_G mean over all of s) / (1 + λ_G)`."""
    base = factors._replace(global_bias=jnp.zeros(()))
    # Σ(r − s) = (Σ(r − s + 1)² − Σ(r − s)² − |Ω|) / 2 loses digits; the gradient of the squared error does not.
    slope = jax.grad(lambda mu: squared_error(base._replace(global_bias=mu), observed))(jnp.zeros(()))
    left, right = extended(base)
    everywhere = ((observed.user_count > 0) @ left) @ ((observed.item_count > 0) @ right)
    best = -slope / 2 / totals.ratings - objective.gravity * everywhere / (totals.users * totals.items)
    return factors._replace(global_bias=objective.use_global_bias * best / (1 + objective.gravity))


@jax.jit
def first_users(
    factors: Factors, observed: Observations, user_rows: Rows, objective: Objective, totals: Totals
) -> Factors:
    """Users solved from the initial items."""
    return solve_users(user_rows, factors, observed.user_count, observed.item_count, objective, totals)


@jax.jit
def epoch(
    factors: Factors, observed: Observations, user_rows: Rows, item_rows: Rows, objective: Objective, totals: Totals
) -> Factors:
    """One sweep: items, μ, then users, so that a user's final row is what `fold_in` gives for the same history."""
    items = solve_users(
        item_rows,
        factors.transposed(),
        observed.item_count,
        observed.user_count,
        objective.transposed(),
        totals.transposed(),
    ).transposed()
    centred = lax.cond(
        jnp.asarray(objective.use_global_bias) > 0,
        lambda found: solve_global(found, observed, objective, totals),
        lambda found: found,
        items,
    )
    return solve_users(user_rows, centred, observed.user_count, observed.item_count, objective, totals)


def fit_jax(
    ratings: Ratings,
    objective: Objective,
    epochs: int,
    start: Factors,
    on_epoch: Callable[[int, float], None] | None,
    weight: Weight,
) -> Factors:
    """`epochs` exact sweeps from `start`, whose users are solved first; arguments as in `factorization_als.fit_als`."""
    observed, totals = observe(ratings, weight), totals_of(ratings)
    user_rows = rows_of(ratings.user, ratings.item, ratings.value, weight, len(observed.user_count))
    item_rows = rows_of(ratings.item, ratings.user, ratings.value, weight, len(observed.item_count))
    factors = first_users(start, observed, user_rows, objective, totals)
    for number in range(1, epochs + 1):
        factors = epoch(factors, observed, user_rows, item_rows, objective, totals)
        if on_epoch is not None:
            on_epoch(number, float(jitted_value(factors, observed, objective, totals)))
    return factors


jitted_value = jax.jit(objective_value)
