"""Pictures in reports: arrays to small encoded images, and grids of recommended looks."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from recsys_pipeline.core.reports.page.plots import INK, MUTED, SERIES, to_png

Pixels = UInt8[np.ndarray, "height width 3"]
Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of the image's width and height."""


@dataclass(frozen=True)
class LookMatch:
    """One recommended product for a scene."""

    title: str
    image: Pixels
    score: float
    is_right: bool
    """Whether it belongs to the scene."""


@dataclass(frozen=True)
class LookExample:
    """A scene, the product that was looked for, and what the model recommended, best first."""

    scene_title: str
    scene: Pixels
    box: Box | None
    """Where the product stood in the scene; None where unknown."""
    product_title: str
    product: Pixels
    recommended: tuple[LookMatch, ...]


def encode_image(pixels: Pixels, max_side: int = 192) -> bytes:
    """The picture as PNG or JPEG, whichever is smaller, with its longest side at most `max_side` pixels."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((max_side, max_side))
    encoded = []
    for settings in ({"format": "PNG", "optimize": True}, {"format": "JPEG", "quality": 85}):
        buffer = io.BytesIO()
        picture.save(buffer, **settings)
        encoded.append(buffer.getvalue())
    return min(encoded, key=len)


def data_uri(image: bytes) -> str:
    """An encoded PNG, WebP or JPEG as a `data:` address that pages and Markdown show without a file."""
    kind = "png" if image.startswith(b"\x89PNG") else "webp" if image.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def png_markdown(png: bytes, alt: str = "plot") -> str:
    """Markdown that shows the image inline, for Dagster metadata; keep images under 200 kB, the UI loads them all."""
    return f"![{alt}]({data_uri(png)})"


def look_grid(examples: Sequence[LookExample], n_recommended: int = 5, dpi: int = 90) -> bytes:
    """A PNG with one row per example: the scene with its box, the true product, the recommended ones with scores."""
    columns = 2 + n_recommended
    figure = Figure(figsize=(1.25 * columns, 1.55 * max(len(examples), 1)), layout="constrained")
    grid = figure.subplots(max(len(examples), 1), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, example in zip(grid, examples, strict=False):
        _draw(row[0], example.scene, "scene", MUTED)
        if example.box is not None:
            _outline(row[0], example.scene, example.box)
        _draw(row[1], example.product, "looked for", INK)
        for axes, match in zip(row[2:], example.recommended, strict=False):
            mark, color = ("✓ ", SERIES[2]) if match.is_right else ("", MUTED)
            _draw(axes, match.image, f"{mark}{match.score:.2f}", color)
    return to_png(figure, dpi=dpi)


def image_grid(images: Sequence[Pixels], titles: Sequence[str], columns: int = 8, dpi: int = 90) -> bytes:
    """A PNG of images in rows, each under its title."""
    n_rows = -(-len(images) // columns) or 1
    figure = Figure(figsize=(1.1 * columns, 1.3 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, pixels, title in zip(grid.flat, images, titles, strict=False):
        _draw(axes, pixels, title, MUTED)
    return to_png(figure, dpi=dpi)


def _draw(axes: Axes, pixels: np.ndarray, title: str, color: str) -> None:
    axes.imshow(pixels)
    axes.set_title(title, fontsize=9, color=color)


def _outline(axes: Axes, pixels: np.ndarray, box: Box) -> None:
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    corner, size = (left * width, top * height), ((right - left) * width, (bottom - top) * height)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=SERIES[1], linewidth=2))
