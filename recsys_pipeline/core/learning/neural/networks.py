"""Networks as pure trees of arrays beside a static graph, so that steps are compiled once per kind of network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
from flax import nnx

Build = Callable[[Any], nnx.Module]
"""Makes a fresh network from a key: a function, or an object that equals its like, since its work is compiled once per
value. Dropout is built without a stream of keys and given `nnx.Rngs(dropout=key)` where the loss calls it."""


Frozen = Callable[[Any], Sequence[nnx.Module]]
"""Parts of a network that stay in evaluation mode while the rest is trained."""


class Weights(NamedTuple):
    """What training changes of a network: parameters, and running statistics (of batch norm; {} where there are none).

    Both are nested dictionaries of arrays.
    """

    params: Any
    statistics: Any


@dataclass(frozen=True)
class Network:
    """The static part of a network, by which compiled functions are found again.

    `precision` is the type in which it computes: "float32", or "bfloat16" for mixed precision.
    """

    graph: Any
    precision: str = "float32"

    def module(self, weights: Weights) -> Any:
        """The network as an object; where it computes in `bfloat16`, with parameters rounded to it.

        Gradients go through the rounding to the `float32` parameters; running statistics stay `float32`.
        """
        rounded = jax.tree.map(lambda weight: weight.astype(self.precision), weights.params)
        return nnx.merge(self.graph, nnx.State(rounded), nnx.State(weights.statistics))


def graph_of(
    build: Build,
    training: bool,
    precision: str = "float32",
    frozen: Callable[[Any], Sequence[nnx.Module]] | None = None,
) -> Network:
    """The graph of what `build` makes, in training or in evaluation mode; parts that are `frozen` never train.

    Nothing is computed. Keep what it returns (`functools.cache`): steps are compiled once per graph.
    """
    module = nnx.eval_shape(lambda: build(jax.random.key(0)))
    module.train() if training else module.eval()
    for part in frozen(module) if frozen else ():
        part.eval()
    return Network(nnx.graphdef(module), precision)


# It runs once. With fewer of LLVM's passes it gives the same bits, and compiles in 5 s instead of 13 for two towers.
@partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 1})
def fresh_weights(build: Build, key: Any) -> Weights:
    """The weights with which `build` makes a network from this key."""
    _, params, statistics = nnx.split(build(key), nnx.Param, nnx.BatchStat)
    return Weights(nnx.to_pure_dict(params), nnx.to_pure_dict(statistics))


def statistics_of(module: Any) -> Any:
    """The running statistics of a network as its forward pass left them."""
    return nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
