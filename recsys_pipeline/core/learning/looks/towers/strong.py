"""A deeper tower for harder looks: two basic residual blocks per width, weighed by channel attention.

The blocks are those of He et al., "Deep residual learning for image recognition", CVPR 2016 (two 3×3 convolutions
around which the input goes), with the gates of Hu et al., "Squeeze-and-excitation networks", CVPR 2018. The first
layer and the pooling are those of the default tower. It has 753,224 weights per tower at the default widths and size,
the default tower 164,144.
"""

from typing import Any

from flax import nnx
from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.learning.looks.towers import (
    Architecture,
    Norm,
    Seen,
    StatisticsHead,
    Tower,
    TowerSpec,
    as_regions,
    space_to_depth,
)

PATCH = 2
BLOCKS_PER_WIDTH = 2
SQUEEZE = 4
"""By how much the gates' inner layer is narrower than the maps."""


class GatedBlock(nnx.Module):
    """Two 3×3 convolutions with batch norm and swish; the sum with the input goes on."""

    def __init__(self, n_in: int, n_out: int, strides: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(n_in, n_out, (3, 3), strides=strides, use_bias=False, rngs=rngs)
        self.first_norm = Norm(n_out, rngs=rngs)
        self.second = nnx.Conv(n_out, n_out, (3, 3), use_bias=False, rngs=rngs)
        self.second_norm = Norm(n_out, rngs=rngs)
        self.squeeze = nnx.Linear(n_out, max(n_out // SQUEEZE, 1), rngs=rngs)
        self.excite = nnx.Linear(max(n_out // SQUEEZE, 1), n_out, rngs=rngs)
        shaped = strides > 1 or n_in != n_out
        self.shortcut: Any = nnx.Conv(n_in, n_out, (1, 1), strides=strides, rngs=rngs) if shaped else None

    def __call__(self, x: Float[Array, "n h w n_in"]) -> Float[Array, "n h2 w2 n_out"]:
        y = nnx.swish(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        gate = nnx.sigmoid(self.excite(nnx.swish(self.squeeze(y.mean(axis=(1, 2))))))
        around = x if self.shortcut is None else self.shortcut(x)
        return nnx.swish(y * gate[:, None, None] + around)


class StrongTower(Tower):
    """Each width halves the image once and keeps it once."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs) -> None:
        widths = architecture.widths
        self.channels = widths[-1]
        self.stages = nnx.List([
            nnx.List([
                GatedBlock(n_out if again else n_in, n_out, 1 if again else 2, rngs)
                for again in range(BLOCKS_PER_WIDTH)
            ])
            for n_in, n_out in zip((3 * PATCH * PATCH, *widths[:-1]), widths, strict=True)
        ])  # fmt: skip
        self.head = StatisticsHead(sum(widths), architecture.embedding_size, rngs)

    def __call__(self, pixels: Float[Array, "n size size 3"]) -> Seen:
        x, maps = space_to_depth(pixels, PATCH), []
        for stage in self.stages:
            for block in stage:
                x = block(x)
            maps.append(x)
        return Seen(self.head(maps), as_regions(x))


SPEC = TowerSpec("strong", StrongTower, multiple=PATCH)
