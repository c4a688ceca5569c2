"""What `recsys look` and `recsys similar` print: a look for a scene, and products that look like one, of a day."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32
from rich.table import Table

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
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
from recsys_pipeline.defs.dataset import ITEMS_OF_DAY
from recsys_pipeline.defs.item_images import IMAGES, PHOTOS, TOWER_VECTORS, photo_vectors
from recsys_pipeline.defs.reads import provided
from recsys_pipeline.defs.resources import StoreResource, configured_source


@dataclass(frozen=True)
class Showroom:
    """A day's looks, its catalogue, and the model trained on them."""

    day: str
    data: LookData
    shelf: Shelf
    scorer: SceneScorer


@dataclass(frozen=True)
class Showcase:
    """A day's products with what says how they look, row by row."""

    day: str
    ids: list[str]
    vectors: Float32[np.ndarray, "products dim"]
    categories: list[str]
    shelf: Shelf


def open_showroom(day: str | None = None) -> Showroom:
    """The showroom of a day, or of the newest day that has a model of looks."""
    store = StoreResource().open()
    day = day or _newest(store, "models/stl")
    data = LookData.load(store.get("dataset/looks", day).path)
    shelf = Shelf.of(data.product_ids, _items(store, day))
    return Showroom(day, data, shelf, TowerScorer(StlModel.load(store.get("models/stl", day).path), data))


def open_showcase(day: str | None = None) -> Showcase:
    """The products of a day, or of the newest day whose pictures were embedded.

    Raises `ArtifactError` where the source has no pictures, or none could be read.
    """
    store = StoreResource().open()
    photos = next((read.key for read in PHOTOS if provided(read.needs, configured_source().provides)), None)
    if photos is None:
        raise ArtifactError(
            f"the source {configured_source().name} names no pictures of items: say in [items] where they are "
            "(`image`, docs/data.md)"
        )
    day = day or _newest(store, photos)
    table = photo_vectors({photos: store.get(photos, day)})
    if table is None:
        raise ArtifactError(f"no picture of an item could be read on {day}: {IMAGES} tells why in its quarantine")
    items = _items(store, day)
    listed = zip(items["item_id"].to_pylist(), items["categories"].to_pylist(), strict=True)
    known = {item: names[0] for item, names in listed if names}
    if photos == TOWER_VECTORS:
        looks = LookData.load(store.get("dataset/looks", day).path)
        known |= {
            item: looks.categories[at] for item, at in zip(looks.product_ids, looks.product_category, strict=True)
        }
    categories = [known.get(item, "") for item in table.ids]
    return Showcase(day, table.ids, table.vectors, categories, Shelf.of(table.ids, items))


def _items(store: ArtifactStore, day: str) -> pa.Table:
    if "items" not in configured_source().provides:
        return ITEMS.empty_table()
    return pq.read_table(store.get(ITEMS_OF_DAY, day).path / "items.parquet")


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
    categories = [data.categories[at] for at in data.product_category]
    return _table(title, "score", data.product_ids, categories, shelf, look.products, look.scores)


def similar_table(case: Showcase, product: str, k: int, same_category: bool) -> Table:
    """Products on sale that look most like a product."""
    row = _row(product, case.ids, "product", case.day)
    categories = np.unique(case.categories, return_inverse=True)[1] if same_category else None
    rows, cosines = similar_products(
        case.vectors, np.array([row]), k, categories, case.shelf.available, text_hashes(case.ids)
    )
    found = rows[0] >= 0
    title = f"Like {product} {case.shelf.titles[row]} on {case.day}"
    return _table(title, "cosine", case.ids, case.categories, case.shelf, rows[0][found], cosines[0][found])


def _table(
    title: str, measure: str, ids: list[str], categories: list[str], shelf: Shelf, rows: np.ndarray, scores: np.ndarray
) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("product", "title", "category", "price", measure):
        table.add_column(heading, justify="right" if heading in ("price", measure) else "left")
    for row, score in zip(rows, scores, strict=True):
        price = "–" if math.isnan(shelf.prices[row]) else f"{shelf.prices[row]:,.2f}"
        table.add_row(ids[row], shelf.titles[row], categories[row], price, f"{score:.3f}")
    return table


def _row(name: str, ids: list[str], kind: str, day: str) -> int:
    if name not in ids:
        raise SettingError(f"there is no {kind} {name!r} on {day}: it has {len(ids):,}: {', '.join(ids[:3])}, …")
    return ids.index(name)


def _newest(store: ArtifactStore, key: str) -> str:
    days = store.partitions(key)
    if not days:
        raise ArtifactError(f"{key} was never made: recsys run batch_daily, with a source that has pictures")
    return days[-1]
