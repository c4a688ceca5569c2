"""What `recsys look` and `recsys similar` print: a look for a scene, and products like a product, of a day."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from rich.table import Table

from recsys_pipeline.adapters.store import ArtifactStore
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.schema import ITEMS
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.similar import similar_products
from recsys_pipeline.core.reports.looks.look_book import SceneScorer
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer
from recsys_pipeline.core.serving.looks import recommend_look
from recsys_pipeline.defs.dataset import CATALOGUE
from recsys_pipeline.defs.resources import StoreResource


@dataclass(frozen=True)
class Showroom:
    """A day's looks, its catalogue, and the model trained on them."""

    day: str
    data: LookData
    shelf: Shelf
    scorer: SceneScorer


def open_showroom(day: str | None = None) -> Showroom:
    """The showroom of a day, or of the newest day that has a model of looks."""
    store = StoreResource().open()
    day = day or _newest(store)
    data = LookData.load(store.get("dataset/looks", day).path)
    items = [pq.read_table(store.get(key, day).path / "items.parquet") for key in CATALOGUE]
    shelf = Shelf.of(data, items[0] if items else ITEMS.empty_table())
    return Showroom(day, data, shelf, TowerScorer(StlModel.load(store.get("models/stl", day).path), data))


def look_table(room: Showroom, scene: str, budget: float | None, n_products: int) -> Table:
    """The look for a scene as it is: at most one product of each category that no product of the scene has."""
    data, shelf = room.data, room.shelf
    row = _row(scene, data.scene_ids, "scene", room.day)
    image = np.asarray(data.scene_images[row : row + 1])
    scores = room.scorer.score_images(image, np.full((1, 4), np.nan, np.float32))[0]
    present = sorted(set(data.product_category[data.product[data.scene == row]].tolist()))
    look = recommend_look(
        scores, data.product_category, shelf.prices, shelf.available, budget, present, n_products,
        text_hashes(data.product_ids),
    )  # fmt: skip
    has = ", ".join(data.categories[category] for category in present) or "nothing that is known"
    total = "" if math.isnan(look.total_price) else f", together {look.total_price:,.2f}"
    title = f"Look for scene {scene} on {room.day}, which has {has}: {len(look)} products{total}"
    return _table(title, "score", room, look.products, look.scores)


def similar_table(room: Showroom, product: str, k: int, same_category: bool) -> Table:
    """Products on sale that look most like a product."""
    data = room.data
    row = _row(product, data.product_ids, "product", room.day)
    categories = data.product_category if same_category else None
    rows, cosines = similar_products(
        room.scorer.products, np.array([row]), k, categories, room.shelf.available, text_hashes(data.product_ids)
    )
    found = rows[0] >= 0
    title = f"Like {product} {room.shelf.titles[row]} on {room.day}"
    return _table(title, "cosine", room, rows[0][found], cosines[0][found])


def _table(title: str, measure: str, room: Showroom, rows: np.ndarray, scores: np.ndarray) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("product", "title", "category", "price", measure):
        table.add_column(heading, justify="right" if heading in ("price", measure) else "left")
    data, shelf = room.data, room.shelf
    for row, score in zip(rows, scores, strict=True):
        price = "–" if math.isnan(shelf.prices[row]) else f"{shelf.prices[row]:,.2f}"
        category = data.categories[data.product_category[row]]
        table.add_row(data.product_ids[row], shelf.titles[row], category, price, f"{score:.3f}")
    return table


def _row(name: str, ids: list[str], kind: str, day: str) -> int:
    if name not in ids:
        raise SettingError(f"there is no {kind} {name!r} on {day}: it has {len(ids):,}: {', '.join(ids[:3])}, …")
    return ids.index(name)


def _newest(store: ArtifactStore) -> str:
    days = store.partitions("models/stl")
    if not days:
        raise ArtifactError("no model of looks has been trained: recsys run batch_daily, with a source that has looks")
    return days[-1]
