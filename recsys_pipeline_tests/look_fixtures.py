"""A small world of looks for tests: a source of plain images, and looks whose right answer is known."""

import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from PIL import Image

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import SourceError

NO_ITEMS = pa.table({"item_id": pa.array([], pa.string()), "image": pa.array([], pa.string())})


class ImageSource:
    """As much of a `Source` as writing looks needs: images by reference."""

    def __init__(self, images: Mapping[str, bytes]) -> None:
        self.images = images

    def image(self, reference: str) -> bytes:
        if reference not in self.images:
            raise SourceError(f"no image {reference!r}")
        return self.images[reference]


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def plain(colour: tuple[int, int, int], size: int = 20) -> bytes:
    """A square of one colour as PNG."""
    return encoded(Image.new("RGB", (size, size), colour))


def look_data(
    n_scenes: int = 40, n_products: int = 48, per_scene: int = 3, n_categories: int = 4, size: int = 16, seed: int = 0
) -> LookData:
    """Looks in which bright scenes hold bright products and dark scenes dark ones; a quarter of each scene is boxed.

    The box shows noise, so a model must look outside it.
    """
    rng = np.random.default_rng(seed)
    bright = np.arange(n_products) % 2
    category = (np.arange(n_products) // 2 % n_categories).astype(np.int32)
    tone = rng.permutation(np.arange(n_scenes) % 2)
    product = np.stack([np.sort(rng.choice(np.flatnonzero(bright == side), per_scene, replace=False)) for side in tone])
    box = np.tile(np.array([0, 0, 0.5, 0.5], np.float32), (n_scenes * per_scene, 1))
    scenes = _noisy(tone, size, rng)
    scenes[:, : size // 2, : size // 2] = rng.integers(0, 256, (n_scenes, size // 2, size // 2, 3))
    return LookData(
        scene=np.repeat(np.arange(n_scenes), per_scene).astype(np.int32),
        product=product.ravel().astype(np.int32),
        box=box,
        scene_ids=[f"s{row:03d}" for row in range(n_scenes)],
        product_ids=[f"p{row:03d}" for row in range(n_products)],
        categories=[f"c{row}" for row in range(n_categories)],
        product_category=category,
        scene_images=scenes,
        product_images=_noisy(bright, size, rng),
    )


def _noisy(bright: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    base = np.where(bright, 170, 85)[:, None, None, None]
    return np.clip(base + rng.normal(0, 40, (len(bright), size, size, 3)), 0, 255).astype(np.uint8)
