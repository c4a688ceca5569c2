"""A tower of colours alone, for looks too few to learn shapes from: how much of each of 53 colours an image shows.

Pixels are counted softly, as in Swain & Ballard, "Color indexing", IJCV 1991, but relative to the brightest value of
each channel in the image (white-patch constancy: Land, "The retinex theory of color vision", 1977), so that a room's
light and the different scaling of scenes and products cancel. What is nearly white is not counted: it is the backdrop
of product photos. Square roots of the shares, each at mean 0 and deviation 1 among scenes or among products, are the
vector, turned by a fixed matrix into the space of embeddings. Before any step a score is thus the agreement of both
images on what is unusual in their colours; what is learned is a gain and an offset for each colour in each tower, 212
weights in all. Set `colour` to 1: in grey there is little to count.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32

from recsys_pipeline.core.learning.looks.towers import Architecture, Norm, Seen, Tower, TowerSpec, as_regions

GREYS = (-0.3, -0.9, -1.6, -2.4, -3.2)
"""Below white, in deviations of a channel: such a deviation is some 60 of 255."""
LIGHTS, SATURATIONS, HUES = (-0.8, -1.5, -2.3), (0.45, 1.1), 8
"""Colours beside the greys: their lightness, distance from the grey axis, and directions around it."""
WIDTH, LIGHT_WEIGHT = 0.3, 0.4
"""Deviation of the bell around each colour within which pixels count for it, and how much lightness counts in it."""
BACKDROP, SUBJECT = 0.15, 0.5
"""Distance from white up to which a pixel counts nothing, and from which it counts in full (9 and 30 of 255)."""
LEAST = 1e-4
"""Share below which a colour is as good as absent: its square root stays smooth there."""
SIDE, PATCH = 32, 8
"""Of larger images so many pixels by as many are sampled and not averaged, which mixes colours: on IKEA's looks the
averages of 2×2 pixels took same-category accuracy from .621 to .609, before training. Regions have `PATCH`² pixels."""
AXES = np.array([[1 / 3, 1 / 3, 1 / 3], [2 / 6**0.5, -1 / 6**0.5, -1 / 6**0.5], [0, 1 / 2**0.5, -1 / 2**0.5]])
"""Lightness, and two directions at right angles to the grey axis."""


def palette() -> Float32[np.ndarray, "colours 3"]:
    """The colours that are counted, along `AXES`: greys, then hues around the grey axis."""
    turns = np.arange(HUES) * 2 * np.pi / HUES
    greys = [(light, 0.0, 0.0) for light in GREYS]
    hues = [(light, far * np.cos(at), far * np.sin(at)) for light in LIGHTS for far in SATURATIONS for at in turns]
    return np.array(greys + hues, np.float32)


def colour_shares(pixels: Float[Array, "n size size 3"]) -> Float[Array, "n size size colours"]:
    """How much each pixel counts for each colour of the palette; the counts of a pixel add up to 1, or to 0 for white.

    Normalised pixels of any offset: only their distance from the image's brightest values matters.
    """
    below = pixels - pixels.max(axis=(1, 2), keepdims=True)
    weights = np.array([LIGHT_WEIGHT, 1, 1])
    place, colours = below @ jnp.asarray((AXES.T * weights).astype(np.float32)), palette() * weights.astype(np.float32)
    # A bell's exponent less what is the same for all colours, which softmax cancels.
    exponent = (2 * place @ colours.T - np.square(colours).sum(axis=1)) / (2 * WIDTH**2)
    counted = jnp.clip((-below.min(axis=-1, keepdims=True) - BACKDROP) / (SUBJECT - BACKDROP), 0, 1)
    return counted * jax.nn.softmax(exponent, axis=-1)


class PaletteTower(Tower):
    """Shares of colours, standardised, each with its gain."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs) -> None:
        self.channels = len(palette())
        self.embedding_size = architecture.embedding_size
        self.norm = Norm(self.channels, rngs=rngs)
        self.scale = self.channels**-0.5

    def __call__(self, pixels: Float[Array, "n size size 3"]) -> Seen:
        step = max(1, pixels.shape[1] // SIDE)
        counts = colour_shares(pixels[:, ::step, ::step].astype(jnp.float32))
        sums = counts.sum(axis=(1, 2))
        # One pixel's worth of nothing: an image that is all white has no shares.
        shares = sums / (sums.sum(axis=1, keepdims=True) + 1)
        standard = self.norm(jnp.sqrt(shares + LEAST))
        return Seen(self.scale * standard @ turn(self.channels, self.embedding_size), as_regions(_blocks(counts)))


@cache
def turn(n_in: int, n_out: int) -> Float32[np.ndarray, "n_in n_out"]:
    """Orthonormal rows, or as many orthonormal columns as there are: inner products stay what they were, or nearly."""
    square = np.linalg.qr(np.random.default_rng(0).normal(size=(max(n_in, n_out),) * 2))[0]
    return square[:n_in, :n_out].astype(np.float32)


def _blocks(maps: Float[Array, "n h w colours"]) -> Float[Array, "n h2 w2 colours"]:
    n, h, w, colours = maps.shape
    return maps.reshape(n, h // PATCH, PATCH, w // PATCH, PATCH, colours).mean(axis=(2, 4))


SPEC = TowerSpec("palette", PaletteTower, multiple=SIDE)
