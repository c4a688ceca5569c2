"""Layers of towers in forms that XLA runs fast on the CPU; weights are those of `nnx.Conv`, and so are the results.

XLA's own gradients of strided convolutions take a slow path there: that of a 3×3 convolution from 4×4 places with 64
channels costs 7.5 ms for 64 images, and 0.6 ms as a matrix product with patches. The gradient of its average pooling
takes 4.1 ms where that of two matrix products takes 0.9 (48 images, 32×32, 16 channels).
"""

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32

SIDE, STRIDE = 3, 2
"""Of the windows of `Halving` and `pooled`."""


class Pointwise(nnx.Conv):
    """A 1×1 convolution, of every place or of every second, as a matrix product."""

    def __init__(self, n_in: int, n_out: int, rngs: nnx.Rngs, strides: int = 1, use_bias: bool = True) -> None:
        super().__init__(n_in, n_out, (1, 1), strides=strides, use_bias=use_bias, rngs=rngs)
        self.step = strides

    def __call__(self, x: Float[Array, "n h w n_in"], *_: Any) -> Float[Array, "n h2 w2 n_out"]:
        """The product."""
        return _biased(self, x[:, :: self.step, :: self.step] @ self.kernel[0, 0])


class Halving(nnx.Conv):
    """A 3×3 convolution of stride 2, as a matrix product with patches."""

    def __init__(self, n_in: int, n_out: int, rngs: nnx.Rngs, use_bias: bool = True) -> None:
        super().__init__(n_in, n_out, (SIDE, SIDE), strides=STRIDE, use_bias=use_bias, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w n_in"], *_: Any) -> Float[Array, "n h2 w2 n_out"]:
        """The product."""
        return _biased(self, patches(x) @ self.flat_kernel())

    def flat_kernel(self) -> Float[Array, "patch n_out"]:
        """The weights of a patch."""
        return self.kernel[...].reshape(-1, self.out_features)


def patches(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c9"]:
    """The 3×3 places around every second place, zeros beyond the edge, as the channels of one."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), _padding(h), _padding(w), (0, 0)))
    rows, columns = ((STRIDE * (-(-size // STRIDE)) - 1) for size in (h, w))
    windows = [padded[:, i : i + rows : STRIDE, j : j + columns : STRIDE] for i in range(SIDE) for j in range(SIDE)]
    return jnp.concatenate(windows, axis=-1)


def pooled(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """`nnx.avg_pool(x, (3, 3), strides=(2, 2), padding="SAME")`: zeros beyond the edge count, as in the book."""
    down, across = (jnp.asarray(_averages(size), x.dtype) for size in x.shape[1:3])
    return jnp.einsum("oh,nhwc->nowc", down, jnp.einsum("pw,nhwc->nhpc", across, x))


@cache
def _averages(size: int) -> Float32[np.ndarray, "size2 size"]:
    """Row by row, how much each place counts in the average around every second place."""
    first = STRIDE * np.arange(-(-size // STRIDE))[:, None] - _padding(size)[0]
    places = np.arange(size)
    return ((places >= first) & (places < first + SIDE)).astype(np.float32) / SIDE


def _padding(size: int) -> tuple[int, int]:
    """Zeros before and behind, as "SAME" has them."""
    return (1, 1) if size % STRIDE else (0, 1)


def _biased(layer: nnx.Conv, y: Float[Array, "..."]) -> Float[Array, "..."]:
    return y if layer.bias is None else y + layer.bias[...]
