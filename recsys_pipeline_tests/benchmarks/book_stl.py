"""The shop-the-look training of the book, for timing beside ours: Flax linen, three applies per step, host floats.

After chapter 5 of Bischof & Yee, "Building Recommendation Systems in Python and JAX" (and its repository
BBischof/ESRecsys, `pinterest/`), written anew, with the block that the book prints, not that of the repository: two
CNNs of [16, 32, 64, 128] filters; the scene, the positive and the negative go through one `apply` each; hinge of
margin 1 and a penalty on norms above 1; `optax.adam` in a `TrainState`; pixels become floats on the host, batch by
batch. Faults that do not bear on speed are kept (batch statistics are computed and thrown away), except that the loss
of a step is not divided by a traced batch size. Where the book decodes JPEGs by TensorFlow in every epoch, this loop
is handed decoded arrays, which flatters it.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

from recsys_pipeline.core.dataset.looks import LookData

LEARNING_RATE, REG = 1e-3, 0.1
"""The book's defaults."""


class BookCnn(nn.Module):
    """Per block a strided convolution and two 1×1 ones, beside another strided one; then average pooling."""

    filters: Sequence[int]
    output_size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = partial(nn.BatchNorm, use_running_average=False, use_bias=False)
        for n_out in self.filters:
            around = nn.Conv(n_out, (3, 3), (2, 2))(x)
            x = nn.Conv(n_out, (3, 3), (2, 2))(x)
            for _ in range(2):
                x = nn.Conv(n_out, (1, 1))(nn.swish(norm()(x)))
            x = nn.avg_pool(norm()(x) + around, (3, 3), strides=(2, 2), padding="SAME")
        return nn.Dense(self.output_size)(jnp.mean(x, axis=(1, 2)))


class BookTowers(nn.Module):
    """One network for scenes and one for products, the products' applied to positives and negatives in turn."""

    filters: Sequence[int]
    output_size: int

    def setup(self) -> None:
        self.scene_cnn = BookCnn(self.filters, self.output_size)
        self.product_cnn = BookCnn(self.filters, self.output_size)

    def __call__(self, scene: jax.Array, positive: jax.Array, negative: jax.Array) -> tuple[jax.Array, ...]:
        embedded = self.scene_cnn(scene), self.product_cnn(positive), self.product_cnn(negative)
        return (jnp.sum(embedded[0] * embedded[1], -1), jnp.sum(embedded[0] * embedded[2], -1), *embedded)


@jax.jit
def train_step(state: TrainState, scene: Any, positive: Any, negative: Any) -> tuple[TrainState, jax.Array]:
    """One step; the new batch statistics are dropped, as in the book."""

    def objective(variables: Any) -> jax.Array:
        result, _ = state.apply_fn(variables, scene, positive, negative, mutable=["batch_stats"])
        hinge = nn.relu(1.0 + result[1] - result[0])
        norms = sum(nn.relu(jnp.sqrt(jnp.sum(jnp.square(embed), axis=-1)) - 1.0) for embed in result[2:])
        return jnp.mean(hinge + REG * norms)

    loss, gradient = jax.value_and_grad(objective)(state.params)
    return state.apply_gradients(grads=gradient), loss


class Clock:
    """A moment, in wall time and in processor time of all threads."""

    def __init__(self) -> None:
        self.wall_s, self.cpu_s = time.perf_counter(), time.process_time()

    def since(self, other: "Clock", n_steps: int) -> dict[str, float]:
        """Seconds per step since another moment."""
        return {"step_s": (self.wall_s - other.wall_s) / n_steps, "cpu_s": (self.cpu_s - other.cpu_s) / n_steps}


def time_steps(
    data: LookData, filters: Sequence[int], output_size: int, batch_size: int, n_steps: int
) -> dict[str, float]:
    """Seconds per step, compilation left out."""
    rng = np.random.default_rng(0)

    def batch() -> list[np.ndarray]:
        look, negative = (rng.integers(0, n, batch_size) for n in (len(data), len(data.product_ids)))
        products = data.product_images[data.product[look]], data.product_images[negative]
        return [images.astype(np.float32) / 255.0 for images in (data.scene_images[data.scene[look]], *products)]

    towers = BookTowers(filters, output_size)
    variables = towers.init(jax.random.key(0), *batch())
    state = TrainState.create(apply_fn=towers.apply, params=variables, tx=optax.adam(LEARNING_RATE))
    state, loss = train_step(state, *batch())
    loss.block_until_ready()
    begin = Clock()
    for _ in range(n_steps):
        state, loss = train_step(state, *batch())
    loss.block_until_ready()
    return Clock().since(begin, n_steps)
