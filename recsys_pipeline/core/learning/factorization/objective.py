r"""Regularised matrix factorisation: the objective, its parameters, and how they become vectors.

A pair scores `û = μ + b_u + c_i + u·v`, the dot product of the extended vectors `x = [u, b_u, 1]` and
`y = [v, 1, c_i + μ]`. Over the observed pairs Ω, N users and M items, the objective is

    mean over Ω of a (r − û)²
      + λ_R (Σ_u w_u ‖u‖² / N + Σ_i w_i ‖v‖² / M)
      + λ_B (Σ_u w_u b_u² / N + Σ_i w_i c_i² / M)
      + λ_G Σ over all pairs of û² / (N M)

The last sum equals `Σ(XᵀX ∘ YᵀY)`, so gravity costs O((N + M) d²) and not O(N M d). It pulls the whole score of every
pair, biases included, to zero; λ_G = 1 gives all pairs together the weight of all observed pairs together, so that its
useful range hardly depends on the density of the data.

N, M and gravity count only users and items with an observation. The others have zero factors and a zero bias, and so
score what is left of û. μ is not penalised. `w` is 1, or `(count / mean count)^ρ` where ρ, the frequency power, is set:
ρ = 1 is Zhou et al. 2008; Rendle et al. 2021 find values near 1 best for ranking. `a` is 1, or falls by half with each
half-life of an observation's age and is 1 on average; counts are then sums of `a`.

Sources: Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; Zhou et al.,
"Large-scale Parallel Collaborative Filtering for the Netflix Prize", AAIM 2008; Krichene et al., "Efficient Training on
Very Large Corpora via Gramian Estimation", ICLR 2019 (where the term is named gravity); Rendle et al., "Revisiting the
Performance of iALS on Item Recommendation Benchmarks", 2021.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int32, Int64

from recsys_pipeline.core.learning.factorization.rows import row_lengths, summed_weights
from recsys_pipeline.core.ratings import Ratings

CHUNK = 1 << 16
"""Ratings whose vectors are gathered at once: 2 × 65,536 × d floats, 32 MiB at d = 64."""

Weight = Float32[np.ndarray, " n"]
Scalar = int | float | Float[Array, ""] | Int32[Array, ""]


class Objective(NamedTuple):
    """The weights of the objective; traced, so that a sweep compiles once for all its trials."""

    reg: Scalar
    bias_reg: Scalar
    gravity: Scalar
    frequency_power: Scalar
    use_user_bias: Scalar
    use_item_bias: Scalar
    use_global_bias: Scalar

    def transposed(self) -> "Objective":
        """The same objective with users and items exchanged."""
        return self._replace(use_user_bias=self.use_item_bias, use_item_bias=self.use_user_bias)


class Factors(NamedTuple):
    """What is learned: factor rows, biases and the global bias μ."""

    user: Float[Array, "users d"]
    item: Float[Array, "items d"]
    user_bias: Float[Array, " users"]
    item_bias: Float[Array, " items"]
    global_bias: Float[Array, ""]

    def transposed(self) -> "Factors":
        """The same factors with users and items exchanged."""
        return Factors(self.item, self.user, self.item_bias, self.user_bias, self.global_bias)


class Observations(NamedTuple):
    """Ratings in coordinate form, padded with rows of weight 0, and the weight of each user and item in them."""

    user: Int32[Array, " ratings"]
    item: Int32[Array, " ratings"]
    value: Float32[Array, " ratings"]
    weight: Float32[Array, " ratings"]
    user_count: Float32[Array, " users"]
    item_count: Float32[Array, " items"]

    def transposed(self) -> "Observations":
        """The same ratings with users and items exchanged."""
        return self._replace(user=self.item, item=self.user, user_count=self.item_count, item_count=self.user_count)


class Totals(NamedTuple):
    """Number of ratings, and of users and items that have any: |Ω|, N and M of the objective."""

    ratings: Scalar
    users: Scalar
    items: Scalar

    def transposed(self) -> "Totals":
        """The same totals with users and items exchanged."""
        return Totals(self.ratings, self.items, self.users)


def padded_size(n: int) -> int:
    """The least size ≥ n with three significant bits (…, 8, 10, 12, 14, 16, 20, …): at most 25% more than n."""
    step = 1 << max(int(n - 1).bit_length() - 3, 3)
    return max(-(-n // step) * step, step)


def padded_width(embedding_size: int) -> int:
    """Columns of the factor tables: with one more for the bias, a multiple of 8.

    Normal matrices of such a size fill the vector registers (72 runs twice as fast as 65), and nearby embedding sizes
    share one compilation.
    """
    return -(-(embedding_size + 1) // 8) * 8 - 1


def observe(ratings: Ratings, weight: Weight) -> Observations:
    """The ratings as padded device arrays; weights are 1 on average."""
    pad = padded_size(len(ratings)) - len(ratings)
    return Observations(
        user=jnp.asarray(np.pad(ratings.user, (0, pad))),
        item=jnp.asarray(np.pad(ratings.item, (0, pad))),
        value=jnp.asarray(np.pad(ratings.value, (0, pad))),
        weight=jnp.asarray(np.pad(weight, (0, pad))),
        user_count=jnp.asarray(counts(ratings.user, weight, padded_size(ratings.n_users))),
        item_count=jnp.asarray(counts(ratings.item, weight, padded_size(ratings.n_items))),
    )


def counts(ids: Int32[np.ndarray, " n"], weight: Weight, size: int) -> Float32[np.ndarray, " size"]:
    """The summed weight of each of `size` ids."""
    return summed_weights(ids, weight, size)


def recency(timestamp_us: Int64[np.ndarray, " n"], end_us: int, half_life_days: float) -> Weight:
    """`2^(−age / half-life)`, at least a millionth, the age counted back from `end_us`; 1 where the half-life is 0."""
    if half_life_days == 0:
        return np.ones(len(timestamp_us), np.float32)
    age_days = np.maximum(end_us - timestamp_us, 0) / 86_400e6
    return np.maximum(0.5 ** (age_days / half_life_days), 1e-6).astype(np.float32)


def transposed(ratings: Ratings) -> Ratings:
    """The same ratings with users and items exchanged."""
    return Ratings(ratings.item, ratings.user, ratings.value, ratings.timestamp_us, ratings.n_items, ratings.n_users)


def totals_of(ratings: Ratings) -> Totals:
    """|Ω|, N and M; at least 1 each, so that an empty training set divides by nothing."""
    users, items = row_lengths(ratings.user, ratings.n_users), row_lengths(ratings.item, ratings.n_items)
    return Totals(*(float(max(n, 1)) for n in (len(ratings), np.count_nonzero(users), np.count_nonzero(items))))


@partial(jax.jit, static_argnames="embedding_size")
def initial_factors(observed: Observations, embedding_size: int, global_bias: Scalar, seed: Scalar) -> Factors:
    """Item factors from N(0, 1/d), zero where the item has no observation; users are solved from them.

    The table has `padded_width(d)` columns. Those past d are zero, and stay so: a factor that is zero for all items is
    zero in each user's minimiser, and the other way round.
    """
    n_users, n_items = len(observed.user_count), len(observed.item_count)
    width = padded_width(embedding_size)
    item = jax.random.normal(jax.random.key(seed), (n_items, width)) / np.sqrt(embedding_size)
    item = item * (jnp.arange(width) < embedding_size)
    return Factors(
        user=jnp.zeros((n_users, width)),
        item=item * (observed.item_count > 0)[:, None],
        user_bias=jnp.zeros(n_users),
        item_bias=jnp.zeros(n_items),
        global_bias=jnp.asarray(global_bias, jnp.float32),
    )


def frequency_weight(
    count: Float32[Array, " rows"], ratings: Scalar, rows: Scalar, power: Scalar
) -> Float[Array, " rows"]:
    """`(count / mean count)^power`; 1 for rows without observations."""
    return jnp.where(count > 0, (jnp.where(count > 0, count, 1.0) * rows / ratings) ** power, 1.0)


def extended(factors: Factors) -> tuple[Float[Array, "users dim"], Float[Array, "items dim"]]:
    """The vectors `[u, b_u, 1]` and `[v, 1, c_i + μ]`, whose dot product is the score."""
    ones_u, ones_i = jnp.ones_like(factors.user_bias), jnp.ones_like(factors.item_bias)
    left = jnp.column_stack([factors.user, factors.user_bias, ones_u])
    right = jnp.column_stack([factors.item, ones_i, factors.item_bias + factors.global_bias])
    return left, right


def vectors(
    factors: Factors, embedding_size: int, n_users: int, n_items: int
) -> tuple[Float32[np.ndarray, "users dim"], Float32[np.ndarray, "items dim"]]:
    """The extended vectors without the tables' padding."""
    left, right = (np.asarray(table) for table in extended(factors))
    keep = np.r_[:embedding_size, -2, -1]
    return left[:n_users, keep], right[:n_items, keep]


def squared_error(factors: Factors, observed: Observations) -> Float[Array, ""]:
    """Sum over the observed pairs of a (r − û)², gathered in chunks so that memory stays bounded."""
    chunk = min(CHUNK, len(observed.user))
    n_chunks = -(-len(observed.user) // chunk)

    @jax.checkpoint
    def add(total: Array, start: Array) -> tuple[Array, None]:
        # The last chunk may reach past the end: rows before `start` of a shifted slice were counted already.
        first = jnp.minimum(start, len(observed.user) - chunk)
        user, item, value, weight = (lax.dynamic_slice(column, (first,), (chunk,)) for column in observed[:4])
        fresh = first + jnp.arange(chunk) >= start
        score = (factors.user[user] * factors.item[item]).sum(1) + factors.user_bias[user] + factors.item_bias[item]
        return total + (weight * fresh * (value - score - factors.global_bias) ** 2).sum(), None

    total, _ = lax.scan(add, jnp.zeros(()), jnp.arange(n_chunks) * chunk)
    return total


def all_pairs(factors: Factors, observed: Observations) -> Float[Array, ""]:
    """Σ û² over all pairs of a seen user and a seen item, by the trace identity."""
    left, right = extended(factors)
    left, right = left * (observed.user_count > 0)[:, None], right * (observed.item_count > 0)[:, None]
    gram_left = jnp.matmul(left.T, left, precision="highest")
    return (gram_left * jnp.matmul(right.T, right, precision="highest")).sum()


def penalty(
    factor: Float[Array, "rows d"], bias: Float[Array, " rows"], weight: Float[Array, " rows"], objective: Objective
) -> Float[Array, ""]:
    """`λ_R Σ w‖u‖² + λ_B Σ w b²` of one side."""
    return (weight * (objective.reg * (factor**2).sum(1) + objective.bias_reg * bias**2)).sum()


def objective_value(factors: Factors, observed: Observations, objective: Objective, totals: Totals) -> Float[Array, ""]:
    """The objective of the module docstring."""
    user_weight = frequency_weight(observed.user_count, totals.ratings, totals.users, objective.frequency_power)
    item_weight = frequency_weight(observed.item_count, totals.ratings, totals.items, objective.frequency_power)
    return (
        squared_error(factors, observed) / totals.ratings
        + penalty(factors.user, factors.user_bias, user_weight, objective) / totals.users
        + penalty(factors.item, factors.item_bias, item_weight, objective) / totals.items
        + objective.gravity * all_pairs(factors, observed) / (totals.users * totals.items)
    )
