"""One hidden layer from features to item vectors, trained by weighted squared error and stopped on held-out items."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Float64

from recsys_pipeline.core.errors import ModelError


@dataclass(frozen=True)
class NetworkSettings:
    """What the training takes; see `ColdStartConfig`."""

    hidden_size: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    patience: int


class Hidden(NamedTuple):
    """A fitted network: `relu(x W₁ + b₁) W₂ + b₂`."""

    kernel_in: Float32[np.ndarray, "columns hidden"]
    bias_in: Float32[np.ndarray, " hidden"]
    kernel_out: Float32[np.ndarray, "hidden space"]
    bias_out: Float32[np.ndarray, " space"]

    def predict(self, columns: Float64[np.ndarray, "items columns"]) -> Float64[np.ndarray, "items space"]:
        """The network's values; in NumPy, so that serving needs no compilation."""
        hidden = np.maximum(columns @ self.kernel_in + self.bias_in, 0)
        return (hidden @ self.kernel_out + self.bias_out).astype(np.float64)


class Trained(NamedTuple):
    """The network of the epoch with the smallest error on held-out items."""

    hidden: Hidden
    error: float
    """Weighted squared error on the held-out items."""
    epochs: int
    """Epochs until then."""


class MapperNetwork(nnx.Module):
    """Linear, ReLU, linear."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(n_in, n_hidden, rngs=rngs)
        self.outer = nnx.Linear(n_hidden, n_out, rngs=rngs)

    def __call__(self, columns: Float[Array, "items columns"]) -> Float[Array, "items space"]:
        return self.outer(nnx.relu(self.inner(columns)))


Rows = tuple[Array, ...]
"""Columns, targets and weights."""


def fit_network(
    columns: Float64[np.ndarray, "items columns"],
    targets: Float64[np.ndarray, "items space"],
    weights: Float64[np.ndarray, " items"],
    held_out: Bool[np.ndarray, " items"],
    settings: NetworkSettings,
    seed: int,
) -> Trained:
    """Train on the items that are not held out, and keep the epoch that is best on those that are.

    Rows of weight 0 are neither learned from nor judged on: fits on different parts of the same items have the same
    shapes, and so compile once. Raises `ModelError` where either part is empty or no epoch is finite.
    """
    learned, judged = np.where(held_out, 0.0, weights), np.where(held_out, weights, 0.0)
    if not (learned.sum() > 0 and judged.sum() > 0):
        raise ModelError("the network needs items to learn from and items to stop on: give it 10 or more")
    batch = min(settings.batch_size, len(columns))
    parts = (columns, targets, learned / learned.mean()), (columns, targets, judged / judged.sum())
    train, stop = (tuple(jnp.asarray(_padded(rows, batch), jnp.float32) for rows in part) for part in parts)
    sizes = columns.shape[1], settings.hidden_size, targets.shape[1]
    begin, epoch = _programs(sizes, settings.learning_rate, settings.weight_decay)
    params, state = begin(jax.random.key(seed))
    best, best_error, best_epoch = params, np.inf, 0
    rng = np.random.default_rng(seed)
    for number in range(1, settings.epochs + 1):
        order = rng.permutation(len(train[0])).reshape(-1, batch)
        params, state, error = epoch(params, state, order, train, stop)
        if float(error) < best_error:
            best, best_error, best_epoch = params, float(error), number
        elif number - best_epoch >= settings.patience:
            break
    if not np.isfinite(best_error):
        raise ModelError(f"the network did not stay finite: lower learning_rate, which is {settings.learning_rate:g}")
    return Trained(_hidden(nnx.to_pure_dict(best)), best_error, best_epoch)


@cache
def _programs(sizes: tuple[int, int, int], learning_rate: float, weight_decay: float) -> tuple[Any, Any]:
    """What begins a training, and what goes on with it for an epoch; each is compiled once per shape.

    An epoch is one pass over the rows in the given order, a batch per row of it, and ends with the error on the
    held-out ones.
    """
    optimiser = optax.adamw(learning_rate, weight_decay=weight_decay)
    graph = nnx.graphdef(nnx.eval_shape(lambda: MapperNetwork(*sizes, nnx.Rngs(0))))

    @jax.jit
    def begin(key: Array) -> tuple[Any, Any]:
        params = nnx.state(MapperNetwork(*sizes, nnx.Rngs(key)), nnx.Param)
        return params, optimiser.init(params)

    def error(params: Any, rows: Rows) -> Array:
        x, y, w = rows
        return jnp.sum(w * jnp.sum(jnp.square(nnx.merge(graph, params)(x) - y), axis=1))

    def step(carry: tuple[Any, Any], rows: Rows) -> tuple[tuple[Any, Any], None]:
        params, state = carry
        gradient = jax.grad(lambda current: error(current, rows) / len(rows[0]))(params)
        updates, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def epoch(params: Any, state: Any, order: Array, train: Rows, stop: Rows) -> tuple[Any, Any, Array]:
        batches = tuple(rows[order] for rows in train)
        (params, state), _ = jax.lax.scan(step, (params, state), batches)
        return params, state, error(params, stop)

    return begin, epoch


def _padded(rows: np.ndarray, batch: int) -> np.ndarray:
    """With rows of zeros, whose weight is 0, up to a multiple of the batch: a few items more compile nothing anew."""
    missing = -len(rows) % batch
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]))])


def _hidden(params: Mapping[str, Any]) -> Hidden:
    inner, outer = params["inner"], params["outer"]
    return Hidden(*(np.asarray(layer[name]) for layer in (inner, outer) for name in ("kernel", "bias")))
