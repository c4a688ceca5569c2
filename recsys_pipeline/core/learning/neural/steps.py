"""One step of training, compiled once per network, loss and optimizer."""

from functools import partial
from typing import Any, NamedTuple

import jax
import optax
from jax import Array

from recsys_pipeline.core.learning.neural.networks import Network, Weights, statistics_of
from recsys_pipeline.core.learning.neural.protocols import Loss, Vary

ADAM = optax.scale_by_adam()
"""Adam's direction. The learning rate is applied outside, so that it need not be compiled in."""


class TrainingState(NamedTuple):
    """Everything that a step changes, as pure dictionaries of arrays."""

    params: Any
    statistics: Any
    optimizer: Any

    @property
    def weights(self) -> Weights:
        """What of it is the network's."""
        return Weights(self.params, self.statistics)


@partial(jax.jit, static_argnums=(0, 1, 2))
def update(
    network: Network,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    state: TrainingState,
    learning_rate: Any,
    given: Any,
    batch: Any,
    key: Any,
) -> tuple[TrainingState, Array]:
    """One step; the running statistics of batch norm come back with the weights."""

    def objective(params: Any) -> tuple[Array, Any]:
        module = network.module(Weights(params, state.statistics))
        value = loss(module, batch, given, key)
        return value, statistics_of(module)

    (value, statistics), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    direction, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = jax.tree.map(lambda weight, move: weight - learning_rate * move, state.params, direction)
    return TrainingState(params, statistics, optimizer_state), value


@partial(jax.jit, static_argnums=0)
def varied(vary: Vary, batch: Any, given: Any, key: Any) -> Any:
    """The batch of a step as its loss sees it."""
    return vary(batch, given, key)
