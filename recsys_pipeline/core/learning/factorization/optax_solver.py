"""The same objective minimised by Optax: L-BFGS over all parameters at once, with no learning rate to tune.

It takes more passes over the data than alternating least squares, but needs nothing of the objective except its
gradient: it is the solver to start from when the loss stops being a square.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
import optax

from recsys_pipeline.core.learning.factorization.objective import (
    Factors,
    Objective,
    Observations,
    Totals,
    Weight,
    initial_factors,
    objective_value,
    observe,
    totals_of,
)
from recsys_pipeline.core.ratings import Ratings

OPTIMIZER = optax.lbfgs(memory_size=20)


def _masked(factors: Factors, objective: Objective) -> Factors:
    """The factors without the biases that the objective leaves out; their gradient vanishes with them."""
    return factors._replace(
        user_bias=factors.user_bias * objective.use_user_bias,
        item_bias=factors.item_bias * objective.use_item_bias,
        global_bias=factors.global_bias * objective.use_global_bias,
    )


@jax.jit
def step(
    factors: Factors, state: Any, observed: Observations, objective: Objective, totals: Totals
) -> tuple[Factors, Any]:
    """One L-BFGS step with a zoom line search (Nocedal & Wright, chapters 3 and 7)."""

    def loss(point: Factors) -> jax.Array:
        return objective_value(_masked(point, objective), observed, objective, totals)

    value, gradient = optax.value_and_grad_from_state(loss)(factors, state=state)
    updates, state = OPTIMIZER.update(gradient, state, factors, value=value, grad=gradient, value_fn=loss)
    return cast(Factors, optax.apply_updates(factors, updates)), state


def fit_optax(
    ratings: Ratings,
    objective: Objective,
    embedding_size: int,
    epochs: int,
    seed: int,
    on_epoch: Callable[[int, float], None] | None = None,
    weight: Weight | None = None,
    start: Factors | None = None,
) -> Factors:
    """Minimise the objective by `epochs` L-BFGS steps; same arguments and result as `fit_als`."""
    weight = np.ones(len(ratings), np.float32) if weight is None else weight
    observed, totals = observe(ratings, weight), totals_of(ratings)
    factors = start or _drawn(ratings, observed, embedding_size, objective, seed)
    state = jax.jit(OPTIMIZER.init)(factors)
    for number in range(1, epochs + 1):
        factors, state = step(factors, state, observed, objective, totals)
        if on_epoch is not None:
            on_epoch(number, float(state_value(factors, observed, objective, totals)))
    return _masked(factors, objective)


def _drawn(ratings: Ratings, observed: Observations, embedding_size: int, objective: Objective, seed: int) -> Factors:
    """Both sides drawn at the items' scale, because with users of zero the gradient of the items is zero."""
    mean = float(ratings.value.mean()) if len(ratings) else 0.0
    item_seed, user_seed = (int(state) for state in np.random.SeedSequence(seed).generate_state(2) >> 1)
    start = initial_factors(observed, embedding_size, mean * float(objective.use_global_bias), item_seed)
    users = initial_factors(observed.transposed(), embedding_size, 0.0, user_seed).item
    return start._replace(user=users)


state_value = jax.jit(lambda factors, *rest: objective_value(_masked(factors, rest[1]), *rest))
