"""The tower of chapter 5 of Bischof & Yee, "Building Recommendation Systems in Python and JAX", layer by layer.

Each block halves the image twice: a 3×3 convolution of stride 2, whose result also goes around two 1×1 convolutions
(batch norm without bias, then swish, around each), and an average pool. The mean of the last map makes the vector.
"""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.learning.looks.towers import Architecture, Norm, Seen, Tower, TowerSpec, as_regions


class BookBlock(nnx.Module):
    """A quarter of the height and width, `n_out` channels."""

    def __init__(self, n_in: int, n_out: int, rngs: nnx.Rngs) -> None:
        self.spatial = nnx.Conv(n_in, n_out, (3, 3), strides=2, rngs=rngs)
        self.mix = nnx.List([nnx.Conv(n_out, n_out, (1, 1), rngs=rngs) for _ in range(2)])
        self.norms = nnx.List([Norm(n_out, use_bias=False, rngs=rngs) for _ in range(3)])

    def __call__(self, x: Float[Array, "n h w n_in"]) -> Float[Array, "n h4 w4 n_out"]:
        around = self.spatial(x)
        x = nnx.swish(self.norms[0](around))
        for convolution, norm in zip(self.mix, self.norms[1:], strict=True):
            x = nnx.swish(norm(convolution(x)))
        return nnx.avg_pool(x + around, (3, 3), strides=(2, 2), padding="SAME")


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
