"""Layers in their fast forms give what Flax's own give, and so do their gradients; the book's block is the book's."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.learning.looks.layers import Halving, Pointwise, pooled
from recsys_pipeline.core.learning.looks.towers import BATCH_NORM_MOMENTUM
from recsys_pipeline.core.learning.looks.towers.book import BookBlock

SIDES = st.sampled_from([1, 2, 3, 4, 5, 6, 8])


def image(h: int, w: int, channels: int = 3, seed: int = 0) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (4, h, w, channels))


@given(h=SIDES, w=SIDES)
@settings(max_examples=8)
def test_strided_convolutions_are_those_of_flax(h: int, w: int) -> None:
    for layer in (Halving(3, 5, nnx.Rngs(0)), Pointwise(3, 5, nnx.Rngs(0), strides=2), Pointwise(3, 5, nnx.Rngs(0))):
        x = image(h, w)
        np.testing.assert_allclose(layer(x), nnx.Conv.__call__(layer, x), rtol=1e-4, atol=1e-5)


@given(h=SIDES, w=SIDES)
@settings(max_examples=8)
def test_pooling_is_that_of_flax(h: int, w: int) -> None:
    x = image(h, w)
    expected = nnx.avg_pool(x, (3, 3), strides=(2, 2), padding="SAME")
    np.testing.assert_allclose(pooled(x), expected, rtol=1e-4, atol=1e-5)


class PrintedBlock(linen.Module):
    """A block as the book prints it."""

    n_out: int

    @linen.compact
    def __call__(self, x: Any, train: bool) -> Any:
        def norm(x: Any) -> Any:
            return linen.BatchNorm(use_running_average=not train, use_bias=False, momentum=BATCH_NORM_MOMENTUM)(x)

        around = linen.Conv(self.n_out, (3, 3), (2, 2))(x)
        x = linen.Conv(self.n_out, (3, 3), (2, 2))(x)
        x = linen.swish(norm(x))
        x = linen.swish(norm(linen.Conv(self.n_out, (1, 1))(x)))
        x = norm(linen.Conv(self.n_out, (1, 1))(x))
        return linen.avg_pool(x + around, (3, 3), strides=(2, 2), padding="SAME")


def as_printed(block: BookBlock) -> dict[str, Any]:
    """The weights and running statistics of a block of ours under the names of the printed one."""
    convolutions = (block.around, block.spatial, *block.mix)
    params = {
        f"Conv_{n}": {"kernel": c.kernel[...], "bias": c.bias[...]}  # pyright: ignore[reportOptionalSubscript]
        for n, c in enumerate(convolutions)
    }
    norms = {f"BatchNorm_{n}": norm for n, norm in enumerate(block.norms)}
    params |= {name: {"scale": norm.scale[...]} for name, norm in norms.items()}  # pyright: ignore[reportOptionalSubscript]
    stats = {name: {"mean": norm.mean[...], "var": norm.var[...]} for name, norm in norms.items()}
    return {"params": params, "batch_stats": stats}


@pytest.mark.parametrize("side", [16, 6])  # 6: halved once it is odd, and pooling pads on both sides
def test_a_block_is_the_one_that_the_book_prints_with_its_gradient_and_its_statistics(side: int) -> None:
    block, printed = BookBlock(3, 5, nnx.Rngs(1)), PrintedBlock(5)
    for number, layer in enumerate((block.around, block.spatial, *block.mix)):
        assert layer.bias is not None
        layer.bias[...] = 0.1 * jnp.arange(5.0) - number
    x, before = image(side, side), as_printed(block)
    run: Any = partial(printed.apply, train=True, mutable=["batch_stats"])
    expected, after = run(before, x)
    gradient = jax.grad(lambda x: jnp.sum(run(before, x)[0] ** 3))(x)
    graph, state = nnx.split(block)
    arrays = nnx.to_pure_dict(state)
    ours = jax.grad(lambda x: jnp.sum(nnx.merge(graph, nnx.State(arrays))(x) ** 3))(x)
    np.testing.assert_allclose(ours, gradient, rtol=1e-3, atol=1e-3 * float(np.abs(gradient).max()))
    np.testing.assert_allclose(block(x), expected, rtol=1e-3, atol=1e-4)
    for one, other in zip(
        jax.tree.leaves(as_printed(block)["batch_stats"]), jax.tree.leaves(after["batch_stats"]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    block.eval()
    evaluated: Any = printed.apply(as_printed(block), x, train=False)
    np.testing.assert_allclose(block(x), evaluated, rtol=1e-3, atol=1e-4)
