"""Pictures in reports: arrays to small encoded images, and grids of recommended looks."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from recsys_pipeline.core.reports.page.plots import INK, MUTED, SERIES, to_png

Pixels = UInt8[np.ndarray, "height width 3"]
Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of the image's width and height."""
TITLE_IN, GAP_IN = 0.22, 0.08
"""Room above an image for its title, and between images."""


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
    sheet = _Sheet(max(len(examples), 1), 2 + n_recommended, cell_width=1.25, cell_height=1.55)
    for row, example in enumerate(examples):
        place = sheet.draw(row, 0, example.scene, "scene", MUTED)
        if example.box is not None:
            sheet.outline(place, example.box)
        sheet.draw(row, 1, example.product, "looked for", INK)
        for column, match in enumerate(example.recommended[:n_recommended], 2):
            mark, color = ("✓ ", SERIES[2]) if match.is_right else ("", MUTED)
            sheet.draw(row, column, match.image, f"{mark}{match.score:.2f}", color)
    return to_png(sheet.figure, dpi=dpi)


def image_grid(images: Sequence[Pixels], titles: Sequence[str], columns: int = 8, dpi: int = 90) -> bytes:
    """A PNG of images in rows, each under its title."""
    sheet = _Sheet(-(-len(images) // columns) or 1, columns, cell_width=1.1, cell_height=1.3)
    for number, (pixels, title) in enumerate(zip(images, titles, strict=False)):
        sheet.draw(*divmod(number, columns), pixels, title, MUTED)
    return to_png(sheet.figure, dpi=dpi)


class _Sheet:
    """Cells of images under their titles, in inches from the top left corner.

    All on one set of axes: an own one for each image takes ten times as long to lay out as the image to draw.
    """

    def __init__(self, n_rows: int, n_columns: int, cell_width: float, cell_height: float) -> None:
        size = (n_columns * cell_width, n_rows * cell_height)
        self.cell_width, self.cell_height = cell_width, cell_height
        self.figure = Figure(figsize=size)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, size[0]), ylim=(size[1], 0))

    def draw(self, row: int, column: int, pixels: np.ndarray, title: str, color: str) -> Box:
        """The image as large as its cell allows; returns its left, top, right and bottom."""
        x, baseline = (column + 0.5) * self.cell_width, row * self.cell_height + TITLE_IN
        height, width = pixels.shape[:2]
        scale = min((self.cell_width - GAP_IN) / width, (self.cell_height - TITLE_IN - GAP_IN) / height)
        left, right, bottom = x - scale * width / 2, x + scale * width / 2, baseline + scale * height
        self.axes.imshow(pixels, extent=(left, right, bottom, baseline), aspect="auto")
        self.axes.text(x, baseline - GAP_IN / 2, title, fontsize=9, color=color, ha="center", va="bottom")
        return left, baseline, right, bottom

    def outline(self, place: Box, box: Box) -> None:
        """A frame around a part of an image that stands at `place`."""
        width, height = place[2] - place[0], place[3] - place[1]
        left, top, right, bottom = box
        corner = (place[0] + left * width, place[1] + top * height)
        size = ((right - left) * width, (bottom - top) * height)
        self.axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=SERIES[1], linewidth=2))
