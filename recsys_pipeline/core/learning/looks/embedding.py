"""Vectors of any number of images, by fitted towers in evaluation mode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Float32, Int, Int32, UInt8

from recsys_pipeline.core.learning.looks.pixels import Colours, Scalar, mask_products, normalise
from recsys_pipeline.core.learning.neural.networks import Network, Weights

EMBED_BATCH = 64
"""Images per call when embedding. It never changes, so an embedding does not depend on what is embedded with it."""


@dataclass(frozen=True)
class Embedder:
    """Towers with the settings by which images enter them; `network` is that of the evaluation mode."""

    network: Network
    weights: Weights
    colours: Colours
    colour: float
    min_crop_share: float

    def scenes(
        self, images: UInt8[np.ndarray, "n size size 3"], boxes: Float32[np.ndarray, "n 4"] | None = None
    ) -> Float32[np.ndarray, "n views dim"]:
        """All views of the scenes (see `LookTowers`), the product in the box (NaN for none) masked out."""
        if boxes is None:
            boxes = np.full((len(images), 4), np.nan, np.float32)
        embed = partial(_scenes, self.network, self.weights, self.colours)
        return _in_batches(partial(embed, self.colour, self.min_crop_share), images, boxes)

    def products(
        self, images: UInt8[np.ndarray, "n size size 3"], category: Int32[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "n dim"]:
        """Vectors of products of these categories, −1 where unknown."""
        embed = partial(_products, self.network, self.weights, self.colours, self.colour)
        return _in_batches(embed, images, category)


def _in_batches(embed: Callable[..., Array], *columns: np.ndarray) -> np.ndarray:
    """`embed` of all rows, in batches of one shape: the last is padded and cut, never dropped."""
    n = len(columns[0])
    vectors = [np.asarray(embed(*batch))[: n - start] for start, batch in _batches(columns)]
    if vectors:
        return np.concatenate(vectors)
    one = jax.eval_shape(embed, *(np.zeros((1, *column.shape[1:]), column.dtype) for column in columns))
    return np.zeros((0, *one.shape[1:]), one.dtype)


def _batches(columns: tuple[np.ndarray, ...]) -> Iterator[tuple[int, list[np.ndarray]]]:
    for start in range(0, len(columns[0]), EMBED_BATCH):
        parts = [column[start : start + EMBED_BATCH] for column in columns]
        padding = EMBED_BATCH - len(parts[0])
        yield start, [np.pad(part, ((0, padding), *((0, 0),) * (part.ndim - 1))) for part in parts]


@partial(jax.jit, static_argnums=0)
def _scenes(
    network: Network,
    weights: Weights,
    colours: Colours,
    colour: Scalar,
    min_crop_share: Scalar,
    images: UInt8[Array, "n size size 3"],
    boxes: Float[Array, "n 4"],
) -> Float[Array, "n views dim"]:
    pixels = normalise(images, colours.scene_mean, colours.scene_deviation, colour)
    pixels = mask_products(pixels, boxes, min_crop_share).astype(network.precision)
    return network.module(weights).scene_vectors(pixels)


@partial(jax.jit, static_argnums=0)
def _products(
    network: Network,
    weights: Weights,
    colours: Colours,
    colour: Scalar,
    images: UInt8[Array, "n size size 3"],
    category: Int[Array, " n"],
) -> Float[Array, "n dim"]:
    pixels = normalise(images, colours.product_mean, colours.product_deviation, colour).astype(network.precision)
    return network.module(weights).product_vectors(pixels, category)
