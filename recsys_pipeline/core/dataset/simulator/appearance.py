"""How a product looks: its silhouette from its category, its texture from its style, its colours mostly by chance.

Style shows in the texture, the emblem and the corners; colours are shared by all styles, so that a histogram of
colours says little about which products belong together.
"""

import math
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw

from recsys_pipeline.core.dataset.simulator.catalogue import CATEGORIES, STYLES
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream

_HUES = 8
_PREFERRED_HUE_SHARE = 0.42
_SUPERSAMPLING = 3
_ROUND_STYLES = frozenset({"retro", "deco", "terrazzo", "bohemian"})
# Rectangles (left, top, right, bottom) and polygons, in the unit square with y downwards.
_PARTS: dict[str, list[tuple[float, ...]]] = {
    "chair": [(0.2, 0.02, 0.8, 0.5), (0.1, 0.45, 0.9, 0.72), (0.12, 0.7, 0.26, 0.98), (0.74, 0.7, 0.88, 0.98)],
    "table": [(0.02, 0.22, 0.98, 0.56), (0.08, 0.5, 0.28, 0.94), (0.72, 0.5, 0.92, 0.94)],
    "lamp": [(0.3, 0.04, 0.7, 0.04, 0.95, 0.55, 0.05, 0.55), (0.42, 0.5, 0.58, 0.9), (0.22, 0.84, 0.78, 0.98)],
    "sofa": [(0.02, 0.4, 0.2, 0.86), (0.8, 0.4, 0.98, 0.86), (0.12, 0.2, 0.88, 0.84)],
    "vase": [(0.36, 0.02, 0.64, 0.3), (0.4, 0.2, 0.6, 0.2, 0.9, 0.6, 0.7, 0.98, 0.3, 0.98, 0.1, 0.6)],
    "rug": [(0.14, 0.26, 0.98, 0.26, 0.86, 0.8, 0.02, 0.8)],
    "bed": [(0.02, 0.12, 0.3, 0.9), (0.2, 0.42, 0.98, 0.78), (0.84, 0.7, 0.98, 0.9)],
    "shelf": [(0.16, 0.02, 0.84, 0.3), (0.16, 0.35, 0.84, 0.63), (0.16, 0.68, 0.84, 0.96)],
}


@dataclass(frozen=True)
class Appearance:
    """What one product looks like wherever it is photographed."""

    category: int
    style: int
    body: Float32[np.ndarray, " rgb"]
    accent: Float32[np.ndarray, " rgb"]
    emblem: Float32[np.ndarray, " rgb"]
    cycles: float
    tilt: float
    phase: Float32[np.ndarray, " waves"]


def appearance_of(seed: int, item: int, style: int, category: int) -> Appearance:
    """The look of one item, from its own random stream."""
    rng = stream(seed, Purpose.APPEARANCE, item)
    bright_body = rng.random() < 0.5
    light, dark = rng.uniform(0.78, 0.95), rng.uniform(0.3, 0.5)
    body_value, accent_value = (light, dark) if bright_body else (dark, light)
    return Appearance(
        category=category,
        style=style,
        body=colour(draw_hue(style, rng), rng.uniform(0.25, 0.75), body_value),
        accent=colour(draw_hue(style, rng), rng.uniform(0.15, 0.75), accent_value),
        emblem=colour(draw_hue(style, rng), rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.9)),
        cycles=float(rng.uniform(0.85, 1.15)),
        tilt=float(rng.normal(0, 0.06)),
        phase=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
    )


def draw_hue(style: int, rng: np.random.Generator) -> float:
    """A hue in 0-1: now and then one that the style prefers (two styles share each), else any."""
    preferred = rng.random() < _PREFERRED_HUE_SHARE
    base = (style // 2) * 2 if preferred else rng.integers(_HUES)
    return float((base + rng.uniform(-0.4, 0.4)) / _HUES % 1)


def colour(hue: float, saturation: float, value: float) -> Float32[np.ndarray, " rgb"]:
    """Red, green and blue in 0-1."""
    return np.array(hsv_to_rgb(hue, saturation, value), np.float32)


def paint(
    look: Appearance, size: int, rotation: float
) -> tuple[Float32[np.ndarray, "size size rgb"], Float32[np.ndarray, "size size"]]:
    """The product's colours and its opacity, both in 0-1; `rotation` (radians) turns the texture."""
    x, y = grid(size)
    cos, sin = math.cos(look.tilt + rotation), math.sin(look.tilt + rotation)
    u, v = x * cos + y * sin, y * cos - x * sin
    blend = texture(look.style, u, v, look.cycles, look.phase)[:, :, None]
    surface = look.body * (1 - blend) + look.accent * blend
    emblem = _emblem(look.style, u, v)[:, :, None]
    surface = surface * (1 - emblem) + look.emblem * emblem
    rounded = STYLES[look.style] in _ROUND_STYLES
    return surface.astype(np.float32), silhouette(CATEGORIES[look.category], rounded, size)


@lru_cache(maxsize=512)
def silhouette(category: str, rounded: bool, size: int) -> Float32[np.ndarray, "size size"]:
    """Opacity of the category's outline, read-only since it is shared by all products of the category."""
    large = size * _SUPERSAMPLING
    mask = Image.new("L", (large, large))
    draw = ImageDraw.Draw(mask)
    radius = large * (0.1 if rounded else 0.0)
    for part in _PARTS[category]:
        corners = [coordinate * large for coordinate in part]
        if len(part) == 4:
            draw.rounded_rectangle((corners[0], corners[1], corners[2], corners[3]), radius, fill=255)
        else:
            draw.polygon(corners, fill=255)
    shrunk = mask.resize((size, size), Image.Resampling.BOX)
    opacity = np.asarray(shrunk, np.float32) / 255
    opacity.setflags(write=False)
    return opacity


@lru_cache(maxsize=256)
def grid(size: int) -> tuple[Float32[np.ndarray, "size size"], Float32[np.ndarray, "size size"]]:
    """Coordinates of a square's pixels from -1 to 1, rightwards and downwards; read-only since shared."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / (size - 1) * 2 - 1
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def texture(
    style: int,
    u: Float32[np.ndarray, "height width"],
    v: Float32[np.ndarray, "height width"],
    cycles: float,
    phase: Float32[np.ndarray, " waves"],
) -> Float32[np.ndarray, "height width"]:
    """Share of the accent colour at each point, 0-1: about half in every style, so that colours do not tell it."""
    k = cycles * math.pi
    waves = {
        "coastal": lambda: np.sin(4 * k * v + phase[0]),
        "nordic": lambda: np.sin(4 * k * u + phase[0]),
        "urban": lambda: np.sin(3.2 * k * (u + v) + phase[0]),
        "retro": lambda: 3 * (np.cos(3.2 * k * u + phase[0]) * np.cos(3.2 * k * v + phase[1]) - 0.15),
        "farmhouse": lambda: np.sign(np.sin(2.6 * k * u + phase[0])) * np.sin(2.6 * k * v + phase[1]) * 2,
        "deco": lambda: np.sin(5 * k * np.hypot(u, v) + phase[0]),
        "terrazzo": lambda: _blobs(u, v, k, phase),
        "bohemian": lambda: np.sin(4 * k * v + 2.2 * np.arcsin(np.sin(3 * k * u + phase[1])) + phase[0]),
    }
    return np.clip(0.5 + 2.5 * waves[STYLES[style]](), 0, 1).astype(np.float32)


def _blobs(u: np.ndarray, v: np.ndarray, k: float, phase: np.ndarray) -> np.ndarray:
    """Irregular stains: plane waves in incommensurable directions."""
    directions = [(1.9, 0.8), (-0.7, 2.1), (2.6, -1.6), (0.9, 2.9), (-2.2, -1.3), (3.1, 0.3)]
    return np.sum([np.sin(k * (a * u + b * v) + p) for (a, b), p in zip(directions, phase, strict=True)], axis=0) / 1.5


def _emblem(style: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A sign in the middle: disc, diamond, cross or ring; styles that share one differ in texture."""
    radius = 0.24
    disc = np.hypot(u, v)
    distances = (
        disc - radius,
        np.abs(u) + np.abs(v) - 1.2 * radius,
        np.minimum(np.maximum(np.abs(u) - 0.08, np.abs(v) - radius), np.maximum(np.abs(v) - 0.08, np.abs(u) - radius)),
        np.abs(disc - radius) - 0.06,
    )
    return np.clip(0.5 - distances[style % len(distances)] * 20, 0, 1)
