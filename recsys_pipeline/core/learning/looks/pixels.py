"""How pixels enter the towers: scaled, with the product blanked out of its scene, and varied while training."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float32, Int, UInt8

AnyArray = Array | np.ndarray
Scalar = float | Float[Array, ""] | Float[np.ndarray, ""]

COLOUR_SAMPLE = 512
"""Images from which the mean colour is taken: enough for three digits."""


class Colours(NamedTuple):
    """Mean and deviation of each channel (0–255) of the training scenes and products."""

    scene_mean: Float32[np.ndarray, "3"]
    scene_deviation: Float32[np.ndarray, "3"]
    product_mean: Float32[np.ndarray, "3"]
    product_deviation: Float32[np.ndarray, "3"]


def measure_colours(
    scene_images: UInt8[np.ndarray, "scenes size size 3"],
    scenes: Int[np.ndarray, " some_scenes"],
    product_images: UInt8[np.ndarray, "products size size 3"],
    products: Int[np.ndarray, " some_products"],
) -> Colours:
    """Colours of the given rows, from up to `COLOUR_SAMPLE` of them, evenly spaced."""
    return Colours(*_channel_moments(scene_images, scenes), *_channel_moments(product_images, products))


def _channel_moments(
    images: UInt8[np.ndarray, "n size size 3"], rows: Int[np.ndarray, " m"]
) -> tuple[Float32[np.ndarray, "3"], Float32[np.ndarray, "3"]]:
    sample = images[rows[np.linspace(0, len(rows) - 1, min(len(rows), COLOUR_SAMPLE)).astype(int)]]
    # A channel that never changes must not divide by zero.
    deviation = np.maximum(sample.std(axis=(0, 1, 2), dtype=np.float64), 1.0)
    return sample.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32), deviation.astype(np.float32)


def normalise(
    images: UInt8[AnyArray, "n size size 3"],
    mean: Float[AnyArray, "3"],
    deviation: Float[AnyArray, "3"],
    colour: Scalar,
) -> Float[Array, "n size size 3"]:
    """Pixels with zero mean and unit deviation per channel, so that 0 is the mean colour.

    `colour` is how much of the difference between the channels stays: 1 all of it, 0 shades of grey.
    """
    pixels = (jnp.asarray(images, jnp.float32) - mean) / deviation
    grey = pixels.mean(axis=-1, keepdims=True)
    return grey + colour * (pixels - grey)


def blank_boxes(pixels: Float[Array, "n size size 3"], box: Float[AnyArray, "n 4"]) -> Float[Array, "n size size 3"]:
    """Normalised scenes with their box painted in the mean colour (0), so that the product cannot be copied.

    `box` is [left, top, right, bottom] in 0–1; every pixel that it touches is blanked. A box of NaN blanks nothing.
    """
    size = pixels.shape[1]
    edge = jnp.arange(size)
    sides = jnp.asarray(box) * size
    across = (edge < sides[:, 2:3]) & (edge + 1 > sides[:, 0:1])
    down = (edge < sides[:, 3:4]) & (edge + 1 > sides[:, 1:2])
    return jnp.where((down[:, :, None] & across[:, None, :])[..., None], 0.0, pixels)


def blank_boxes_numpy(
    images: UInt8[np.ndarray, "n size size 3"], box: Float32[np.ndarray, "n 4"], colour: Float32[np.ndarray, "3"]
) -> UInt8[np.ndarray, "n size size 3"]:
    """The readable twin of `blank_boxes`, on raw pixels."""
    blanked = images.copy()
    for image, sides in zip(blanked, box, strict=True):
        image[box_pixels(sides, images.shape[1])] = np.round(colour)
    return blanked


def box_pixels(sides: Float32[np.ndarray, " 4"], size: int) -> tuple[slice, slice]:
    """(rows, columns) of every pixel that a box touches in an image of `size` pixels; none for a box of NaN."""
    if not np.isfinite(sides).all():
        return slice(0), slice(0)
    left, top = np.floor(sides[:2] * size).astype(int)
    right, bottom = np.ceil(sides[2:] * size).astype(int)
    return slice(top, bottom), slice(left, right)


def augment(pixels: Float[Array, "n size size 3"], key: Any, jitter: Scalar) -> Float[Array, "n size size 3"]:
    """Mirror half of the normalised images, move each by up to a sixteenth, and change its colours.

    `jitter` 0 leaves colours alone; 1 turns hues by any angle and changes saturation and brightness a lot. Light and
    dark stay where they were, since they draw the patterns.
    """
    flip_key, move_key, hue_key, saturation_key, light_key = jax.random.split(key, 5)
    n, size = pixels.shape[:2]
    flip = jax.random.bernoulli(flip_key, shape=(n, 1, 1, 1))
    pixels = jnp.where(flip, pixels[:, :, ::-1], pixels)
    steps = jax.random.randint(move_key, (n, 2), -(size // 16), size // 16 + 1)
    pixels = jax.vmap(lambda image, step: jnp.roll(image, step, axis=(0, 1)))(pixels, steps)
    angle = jitter * jnp.pi * jax.random.uniform(hue_key, (n,), minval=-1.0)
    saturation = 1 + 0.5 * jitter * jax.random.uniform(saturation_key, (n,), minval=-1.0)
    light = 0.3 * jitter * jax.random.normal(light_key, (n, 1, 1, 1))
    mix = hue_rotation(angle, saturation)
    # Written out, XLA fuses it with its neighbours; as a batched 3×3 product it would be a pass of its own.
    red, green, blue = (pixels[..., c, None] * mix[:, None, None, c] for c in range(3))
    return red + green + blue + light


def hue_rotation(angle: Float[AnyArray, " n"], saturation: Float[AnyArray, " n"]) -> Float[Array, "n 3 3"]:
    """Matrices that turn colours about the grey axis by `angle` (radians) and scale their distance from it."""
    grey = jnp.full((3, 3), 1 / 3)
    turn = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / jnp.sqrt(3.0)
    cos, sin = (f(angle)[:, None, None] for f in (jnp.cos, jnp.sin))
    return grey + saturation[:, None, None] * (cos * (jnp.eye(3) - grey) + sin * turn)
