"""What the catalogue has and a release has not: new items with their vectors, and what went on or off sale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, UInt8

from recsys_pipeline.core.dataset.image_files import ImageReader, decode_image
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.learning.cold_start.features import item_features
from recsys_pipeline.core.learning.cold_start.image_descriptor import DESCRIPTOR_SIZE, PHOTO_SIDE, describe_photos
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.serving.release import Release


@dataclass(frozen=True)
class CatalogueChange:
    """How the catalogue differs from the release's: `new` are the rows on sale that the release lacks, by id."""

    new: pa.Table
    off_sale: list[str]
    on_sale_again: list[str]


def catalogue_change(release: Release, catalogue: pa.Table) -> CatalogueChange:
    """Compare a validated catalogue with the release's; what it no longer lists is off sale. O(catalogue).

    Raises `DataError` where nothing is on sale, as a release does: an hour without an overlay is better than one of
    empty lists.
    """
    ids, now = catalogue.column("item_id"), catalogue.column("available").to_numpy().astype(bool)
    if not now.any():
        n = len(now)
        raise DataError(f"none of the source's {n} items is on sale: every list would be empty; look at its catalogue")
    rows = release.item_rows(ids.to_numpy())
    new = catalogue.filter(pa.array((rows < 0) & now)).sort_by("item_id")
    on_sale = np.zeros(release.n_items_all, bool)
    on_sale[rows[(rows >= 0) & now]] = True
    on_sale[list(release.rejected)] = False  # they have not come back
    return CatalogueChange(new, _ids(release, release.on_sale & ~on_sale), _ids(release, on_sale & ~release.on_sale))


def _ids(release: Release, chosen: Bool[np.ndarray, " items"]) -> list[str]:
    return sorted(release.items.ids(np.flatnonzero(chosen)).to_pylist())


def unlisted_items(release: Release, item_ids: Sequence[str]) -> pa.Table:
    """New items of a source without a catalogue: all that is known of them is that somebody took them."""
    rows = release.item_rows(item_ids)
    names = sorted(item for item, row in zip(item_ids, rows, strict=True) if row < 0)
    nothing = pa.nulls(len(names), pa.list_(pa.string()))
    return pa.table({"item_id": pa.array(names, pa.string()), "categories": nothing})


def map_new_items(release: Release, items: pa.Table, images: ImageReader | None = None) -> tuple[
    Float32[np.ndarray, "items dim"], int
]:  # fmt: skip
    """Vectors of new items in the release's item space, and how many photos could not be used.

    From the photo where the release has a mapper that takes photos, by its towers or the fixed description where it has
    none; else from the categories, else the mean of all; without a mapper the mean of the learned items.
    """
    if not items.num_rows:
        return np.empty((0, release.dim), np.float32), 0
    if release.cold_start is None:
        mean = release.item_vectors[np.flatnonzero(release.learned)].mean(axis=0)
        return np.tile(mean, (items.num_rows, 1)).astype(np.float32), 0
    mapper = release.cold_start.mappers[release.cold_start.chosen]
    ids, names, n_visual = items.column("item_id").to_pylist(), mapper.design.names, len(mapper.design.visual_mean)
    photo_ids, photos, failed = [], np.empty((0, n_visual), np.float32), 0
    if images is not None and n_visual:
        photo_ids, photos, failed = _photos(items, images, release.towers)
    return mapper.vectors(item_features(ids, items, photo_ids, photos, names)), failed


def _photos(
    items: pa.Table, images: ImageReader, towers: StlModel | None
) -> tuple[list[str], Float32[np.ndarray, "found dim"], int]:
    """Ids and embeddings of the items whose photo can be read, and how many cannot."""
    side = towers.towers.image_size if towers else PHOTO_SIDE
    found: list[tuple[str, str, UInt8[np.ndarray, "size size 3"]]] = []
    n_failed = 0
    for row in items.select(["item_id", "categories", "image"]).to_pylist():
        if not row["image"]:
            continue
        try:
            pixels = decode_image(images.image(row["image"]), side)
        except (SourceError, ValueError):
            n_failed += 1
            continue
        found.append((row["item_id"], (row["categories"] or [""])[0], pixels))
    if not found:
        return [], np.empty((0, towers.config.embedding_size if towers else DESCRIPTOR_SIZE), np.float32), n_failed
    ids, categories, pixels = zip(*found, strict=True)
    photos = np.stack(pixels)
    return list(ids), towers.embed_products(photos, list(categories)) if towers else describe_photos(photos), n_failed
