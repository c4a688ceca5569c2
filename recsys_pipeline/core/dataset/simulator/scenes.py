"""The scenes: rooms furnished in one style, with a box for each product, published day by day."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from recsys_pipeline.core.dataset.schema import LOOKS
from recsys_pipeline.core.dataset.simulator.arrivals import HOURS_PER_DAY, Blocks, block_of, first_row
from recsys_pipeline.core.dataset.simulator.catalogue import (
    CATEGORIES,
    STYLES,
    Catalogue,
    Items,
    product_image,
)
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream

SCENE_SIZE = 128
_INITIAL_DAYS = 30
# Centres of the boxes and their side as a share of the scene, for 3, 4 and 5 products.
_LAYOUTS = {
    3: (np.array([[0.27, 0.3], [0.73, 0.3], [0.5, 0.75]]), 0.42),
    4: (np.array([[0.27, 0.27], [0.73, 0.27], [0.27, 0.74], [0.73, 0.74]]), 0.41),
    5: (np.array([[0.19, 0.27], [0.5, 0.27], [0.81, 0.27], [0.3, 0.74], [0.7, 0.74]]), 0.36),
}


@dataclass(frozen=True)
class Scene:
    """One room: when it was published, its style, its products and their boxes (left, top, right, bottom in 0-1)."""

    number: int
    published_hour: int
    style: int
    items: Int64[np.ndarray, " products"]
    categories: Int64[np.ndarray, " products"]
    boxes: Float32[np.ndarray, "products 4"]


class Gallery:
    """All scenes that are ever published, drawn block by block and kept."""

    def __init__(self, config: SimulatorConfig, seed: int, catalogue: Catalogue) -> None:
        self._sizes = (config.n_scenes, config.scenes_per_day)
        self._seed = seed
        self._catalogue = catalogue
        self._blocks = Blocks(self._draw, _join)

    def scene(self, number: int) -> Scene:
        """One scene by its number."""
        block = block_of(number, *self._sizes)
        return self._blocks.block(block)[number - first_row(block, *self._sizes)]

    def table(self, hour: int) -> pa.Table:
        """The scene-product pairs known by this hour."""
        pairs = [
            (scene, item, category, box)
            for scene in self._blocks.until(hour)
            if scene.published_hour <= hour
            for item, category, box in zip(scene.items, scene.categories, scene.boxes, strict=True)
        ]
        columns = {
            "scene_id": [f"s{scene.number:06d}" for scene, _, _, _ in pairs],
            "product_id": [f"p{item:06d}" for _, item, _, _ in pairs],
            "category": [CATEGORIES[category] for _, _, category, _ in pairs],
            "scene_image": [scene_image(scene.number) for scene, _, _, _ in pairs],
            "product_image": [product_image(int(item)) for _, item, _, _ in pairs],
            "bbox": [box for _, _, _, box in pairs],
        }
        return pa.table(columns, schema=LOOKS)

    def _draw(self, block: int) -> list[Scene]:
        rng = stream(self._seed, Purpose.SCENES, block)
        initial, per_day = self._sizes
        if block == 0:
            hours = np.sort(rng.integers(-_INITIAL_DAYS * HOURS_PER_DAY, 0, initial))
        else:
            hours = np.sort(rng.integers(0, HOURS_PER_DAY, per_day)) + HOURS_PER_DAY * (block - 1)
        items = self._catalogue.until(int(hours[-1]))
        first = first_row(block, *self._sizes)
        return [_furnish(first + row, int(hour), items, rng) for row, hour in enumerate(hours)]


def _join(parts: list[list[Scene]]) -> list[Scene]:
    return [scene for part in parts for scene in part]


def scene_image(scene: int) -> str:
    """The reference under which a scene's photo is served."""
    return f"scenes/s{scene:06d}.png"


def _furnish(number: int, hour: int, items: Items, rng: np.random.Generator) -> Scene:
    """A room of 3-5 products of one style and of different categories, all created before it and on sale."""
    style = int(rng.integers(len(STYLES)))
    pool = rng.permutation(np.flatnonzero(items.on_sale(hour) & (items.stay.arrives < hour) & (items.style == style)))
    _, first_of_category = np.unique(items.category[pool], return_index=True)
    wanted = int(rng.choice([3, 4, 5], p=[0.25, 0.5, 0.25]))
    chosen = pool[np.sort(first_of_category)][:wanted]
    centres, side = _LAYOUTS[wanted]
    slots = rng.permutation(len(centres))[: len(chosen)]
    centre = centres[slots] + rng.uniform(-0.01, 0.01, (len(chosen), 2))
    pixels = np.rint(np.concatenate([centre - side / 2, centre + side / 2], axis=1) * SCENE_SIZE)
    boxes = (np.clip(pixels, 0, SCENE_SIZE) / SCENE_SIZE).astype(np.float32)
    return Scene(number, hour, style, chosen, items.category[chosen], boxes)
