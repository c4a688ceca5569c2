"""A small model of another kind than towers: the next item, by an embedding table, dropout and a hidden layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from recsys_pipeline.core.learning.neural.epochs import Columns, Epochs
from recsys_pipeline.core.learning.neural.networks import Network, Weights, fresh_weights, graph_of
from recsys_pipeline.core.learning.neural.protocols import Task
from recsys_pipeline.core.learning.neural.schedules import warmed_up
from recsys_pipeline.core.learning.neural.trainer import Course

N_ITEMS, LAST, DIM = 12, 3, 8


class Histories(NamedTuple):
    """The last items of some users, and the one that came next."""

    items: Int[np.ndarray, "n last"]
    following: Int[np.ndarray, " n"]


class NextItem(nnx.Module):
    """Logits of the next item."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.table = nnx.Embed(N_ITEMS, DIM, rngs=rngs)
        self.dropout = nnx.Dropout(0.1)
        self.hidden = nnx.Linear(LAST * DIM, 16, rngs=rngs)
        self.out = nnx.Linear(16, N_ITEMS, rngs=rngs)

    def __call__(self, items: Int[Array, "n last"], rngs: nnx.Rngs | None = None) -> Float[Array, "n items"]:
        seen = self.dropout(self.table(items).reshape(len(items), -1), rngs=rngs)
        return self.out(nnx.relu(self.hidden(seen))).astype(jnp.float32)


def build(key: Any) -> NextItem:
    """A fresh network."""
    return NextItem(nnx.Rngs(params=key))


network: Any = cache(lambda training, precision="float32": graph_of(build, training, precision))


class Walks:
    """The `ExampleSource`: in walks of step 1, 2 or 3 around the items, what comes next is what went on."""

    def __init__(self, n: int, batch_size: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        begin, step = rng.integers(0, N_ITEMS, n), rng.integers(1, 4, n)
        path = (begin[:, None] + step[:, None] * np.arange(LAST + 1)) % N_ITEMS
        self.histories = Histories(path[:, :-1], path[:, -1])
        self.n_examples, self.batch_size = n, batch_size
        self._epochs = Epochs(n, batch_size, self._order)

    def batches(self, first: int, last: int) -> Iterator[Histories]:
        """Some histories for each step."""
        for step in range(first, last):
            (rows,) = self._epochs.step(step)
            yield Histories(self.histories.items[rows], self.histories.following[rows])

    def _order(self, epoch: int) -> Columns:
        return (np.random.default_rng([7, epoch]).permutation(self.n_examples),)


def softmax_loss(module: NextItem, batch: Histories, given: Any, key: Any) -> Array:
    """Cross entropy; `given` is the temperature."""
    logits = module(jnp.asarray(batch.items), nnx.Rngs(dropout=key)) / given
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(batch.following)).mean()


@dataclass(frozen=True)
class HitRate:
    """How often the next item of walks that training did not see is the first guess."""

    walks: Histories

    def __call__(self, weights: Weights) -> Mapping[str, float]:
        logits = network(training=False).module(weights)(jnp.asarray(self.walks.items))
        return {"hit_rate": float(np.mean(np.argmax(logits, axis=1) == self.walks.following))}


COURSE = Course(epochs=6, learning_rate=0.02, seed=3, schedule=warmed_up(0.1))


def task(precision: str = "float32", source: Any = None, metrics: Any = None) -> Task[Histories]:
    """What the trainer is given: by default, 90 walks in batches of 16, so that batches run across epochs."""
    found: Network = network(training=True, precision=precision)
    return Task(found, source or Walks(90, 16), softmax_loss, 1.0, metrics or HitRate(Walks(60, 16, seed=1).histories))


def start(seed: int = 5) -> Weights:
    """Fresh weights."""
    return fresh_weights(build, jax.random.key(seed))
