"""The tower of chapter 5 of Bischof & Yee, "Building Recommendation Systems in Python and JAX", layer by layer.

As the book prints it, each block halves the image twice. A 3×3 convolution of stride 2 goes around the rest; another
one is followed by two 1×1 convolutions, with batch norm (without bias) behind each of the three, and swish behind all
but the last. The sum is averaged over 3×3 places with stride 2. The mean of the last map makes the vector. (The book's
repository has another block: one strided convolution, and swish behind the last norm too.)

Nothing stands between the last norm and the average but a sum, so averages are taken first: the last 1×1 convolution,
its norm and the convolution that goes around then work on a quarter of the places.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.learning.looks.layers import Halving, Pointwise, patches, pooled
from recsys_pipeline.core.learning.looks.towers import Architecture, Norm, Seen, Tower, TowerSpec, as_regions


class BookBlock(nnx.Module):
    """A quarter of the height and width, `n_out` channels."""

    def __init__(self, n_in: int, n_out: int, rngs: nnx.Rngs) -> None:
        self.around = Halving(n_in, n_out, rngs)
        self.spatial = nnx.Conv(n_in, n_out, (3, 3), strides=2, rngs=rngs)
        self.mix = nnx.List([Pointwise(n_out, n_out, rngs) for _ in range(2)])
        self.norms = nnx.List([Norm(n_out, use_bias=False, rngs=rngs) for _ in range(3)])

    def __call__(self, x: Float[Array, "n h w n_in"]) -> Float[Array, "n h4 w4 n_out"]:
        y = nnx.swish(self.norms[0](self.spatial(x)))
        y = nnx.swish(self.norms[1](self.mix[0](y)))
        kernel, shift = normed(self.mix[1], self.norms[2], y)
        # Less than 1 where zeros beyond the edge count: a constant does not stay what it is there.
        share = pooled(jnp.ones_like(y, shape=(1, *y.shape[1:3], 1)))
        around = pooled(patches(x)) @ self.around.flat_kernel()
        return pooled(y) @ kernel + around + share * (shift + _bias(self.around))


def normed(
    linear: Pointwise, norm: Norm, y: Float[Array, "n h w n_in"]
) -> tuple[Float[Array, "n_in n_out"], Float[Array, " n_out"]]:
    """Kernel and shift of one linear layer that is `norm(linear(y))`; in training, running statistics go on.

    The moments of what a linear layer gives follow from those of what it is given.
    """
    kernel, bias = linear.kernel[0, 0].astype(jnp.float32), _bias(linear).astype(jnp.float32)
    if norm.use_running_average:
        mean, var = norm.mean[...], norm.var[...]
    else:
        mean, var = _moments(y.astype(jnp.float32), kernel, bias)
        for running, seen in ((norm.mean, mean), (norm.var, var)):
            running[...] = jax.lax.stop_gradient(norm.momentum * running[...] + (1 - norm.momentum) * seen)
    assert norm.scale is not None
    scale = norm.scale[...] * jax.lax.rsqrt(var + norm.epsilon)
    return (kernel * scale).astype(y.dtype), ((bias - mean) * scale).astype(y.dtype)


def _moments(
    y: Float[Array, "n h w n_in"], kernel: Float[Array, "n_in n_out"], bias: Float[Array, " n_out"]
) -> tuple[Float[Array, " n_out"], Float[Array, " n_out"]]:
    """Mean and variance of `y @ kernel + bias` over all places."""
    places = y.reshape(-1, y.shape[-1])
    mean = places.mean(axis=0)
    covariance = places.T @ places / len(places) - jnp.outer(mean, mean)
    variance = ((covariance @ kernel) * kernel).sum(axis=0)
    return mean @ kernel + bias, jnp.maximum(variance, 0)


def _bias(layer: nnx.Conv) -> Float[Array, " n_out"]:
    assert layer.bias is not None
    return layer.bias[...]


class BookTower(Tower):
    """Blocks of growing width, the mean of the last map, a linear layer."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs) -> None:
        widths = architecture.widths
        self.channels = widths[-1]
        pairs = zip((3, *widths[:-1]), widths, strict=True)
        self.blocks = nnx.List([BookBlock(n_in, n_out, rngs) for n_in, n_out in pairs])
        self.head = nnx.Linear(widths[-1], architecture.embedding_size, rngs=rngs)

    def __call__(self, pixels: Float[Array, "n size size 3"]) -> Seen:
        x = pixels
        for block in self.blocks:
            x = block(x)
        return Seen(self.head(x.mean(axis=(1, 2), dtype=jnp.float32)), as_regions(x))


SPEC = TowerSpec("book", BookTower)
