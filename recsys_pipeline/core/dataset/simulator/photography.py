"""Photos of products and scenes: the same product never looks quite the same twice."""

import io

import numpy as np
from jaxtyping import Float32
from PIL import Image

from recsys_pipeline.core.dataset.simulator.appearance import (
    Appearance,
    appearance_of,
    colour,
    draw_hue,
    grid,
    paint,
    texture,
)
from recsys_pipeline.core.dataset.simulator.scenes import SCENE_SIZE, Scene
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream

PRODUCT_SIZE = 96
_GRAIN = 0.025
_PAPER_CONTRAST = 0.28
# zlib's strategy for grainy pictures: the fastest that still compresses.
_RUN_LENGTH = 3


def product_photo(seed: int, item: int, style: int, category: int) -> bytes:
    """A PNG of one product before a pale background."""
    rng = stream(seed, Purpose.PHOTO, item)
    canvas = np.empty((PRODUCT_SIZE, PRODUCT_SIZE, 3), np.float32)
    canvas[:] = colour(rng.random(), rng.uniform(0, 0.08), rng.uniform(0.88, 1.0))
    size = int(rng.integers(78, 89))
    left, top = rng.integers(0, PRODUCT_SIZE - size, 2)
    _place(canvas, appearance_of(seed, item, style, category), int(left), int(top), size, rng)
    return _develop(canvas, rng)


def scene_photo(seed: int, scene: Scene) -> bytes:
    """A PNG of a room: wall and floor, each product within its box, and one light for all."""
    rng = stream(seed, Purpose.SCENE_PHOTO, scene.number)
    canvas = _room(scene.style, rng)
    for item, category, box in zip(scene.items, scene.categories, scene.boxes, strict=True):
        left, top, right, bottom = (int(edge) for edge in np.rint(box * SCENE_SIZE))
        look = appearance_of(seed, int(item), scene.style, int(category))
        _place(canvas, look, left, top, min(right - left, bottom - top), rng)
    return _develop(canvas, rng)


def _room(style: int, rng: np.random.Generator) -> Float32[np.ndarray, "size size rgb"]:
    """A papered wall above a plain floor, in colours that the style prefers a little."""
    x, y = grid(SCENE_SIZE)
    paper = texture(style, x, y, rng.uniform(1.7, 2.3), rng.uniform(0, 2 * np.pi, 6).astype(np.float32))[:, :, None]
    hue, saturation, value = draw_hue(style, rng), rng.uniform(0.05, 0.35), rng.uniform(0.65, 0.95)
    canvas = colour(hue, saturation, value) * (1 - _PAPER_CONTRAST * paper)
    floor = int(SCENE_SIZE * rng.uniform(0.45, 0.62))
    canvas[floor:] = colour(draw_hue(style, rng), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.8))
    return canvas


def _place(
    canvas: Float32[np.ndarray, "height width rgb"],
    look: Appearance,
    left: int,
    top: int,
    size: int,
    rng: np.random.Generator,
) -> None:
    """Paint a product over the canvas, sometimes mirrored and always a little turned."""
    surface, opacity = paint(look, size, rotation=float(rng.normal(0, 0.07)))
    if rng.random() < 0.5:
        surface, opacity = surface[:, ::-1], opacity[:, ::-1]
    region = canvas[top : top + size, left : left + size]
    region += opacity[:, :, None] * (surface - region)


def _develop(canvas: Float32[np.ndarray, "size size rgb"], rng: np.random.Generator) -> bytes:
    """Light with a colour cast and a direction, add grain, and encode."""
    x, y = grid(len(canvas))
    strength, direction = rng.uniform(0, 0.15), rng.uniform(0, 2 * np.pi)
    light = 1 + np.float32(strength * np.cos(direction)) * x + np.float32(strength * np.sin(direction)) * y
    light += _GRAIN * rng.standard_normal(light.shape, np.float32)
    cast = rng.uniform(0.82, 1.12, 3).astype(np.float32)
    pixels = np.clip(canvas * light[:, :, None] * cast, 0, 1) * 255 + 0.5
    encoded = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(encoded, "PNG", compress_level=1, compress_type=_RUN_LENGTH)
    return encoded.getvalue()
