"""Pictures of items that stand in no looks: decoded, and described for models of new items and for visual search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.item_images import ItemImages, write_item_images
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.learning.cold_start.image_descriptor import PHOTO_SIDE, describe_photos
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.page.pictures import image_grid
from recsys_pipeline.core.types import Window
from recsys_pipeline.defs.partitions import day_of
from recsys_pipeline.defs.production import log_progress, picture, produce, stage_asset, steps
from recsys_pipeline.defs.resources import SourceResource, StoreResource, TrackerResource, configured_source

IMAGES, VECTORS, TOWER_VECTORS = "dataset/item_images", "neighbors/item_image_vectors", "neighbors/stl_vectors"
NEED = "item_images"
"""What a source provides whose catalogue names pictures and which has no looks: looks decode them themselves."""
SHOWN = 24


_KEYS = {"looks": TOWER_VECTORS, NEED: VECTORS}
PHOTOS = [key for need, key in _KEYS.items() if need in configured_source().provides]
"""What says how items look: the towers' vectors where there are looks, else those of pictures alone; or nothing."""


def photo_vectors(artifacts: Mapping[str, Artifact]) -> VectorTable | None:
    """The vectors of items' pictures among these artifacts; None where there are none, or none could be read."""
    folders = [artifacts[key].path / name for key, name in TABLES.items() if key in artifacts]
    found = VectorTable.load(folders[0]) if folders else None
    return found if found is not None and len(found) else None


TABLES = {TOWER_VECTORS: "products", VECTORS: "items"}
"""In which folder of each artifact the vectors of items are."""


def item_pictures(artifacts: Mapping[str, Artifact]) -> ItemImages | None:
    """The pictures of items among these artifacts, from looks or from the catalogue; None where there are none."""
    if "dataset/looks" in artifacts:
        return ItemImages.of_looks(LookData.load(artifacts["dataset/looks"].path))
    return ItemImages.load(artifacts[IMAGES].path) if IMAGES in artifacts else None


class ItemImagesConfig(dg.Config):
    """How strict pictures of items are."""

    max_quarantine_share: float = Field(
        1.0, ge=0, le=1,
        description="Fail where a larger share of the named pictures cannot be used; by default they only warn, since "
                    "lists can be made without.",
    )  # fmt: skip


@stage_asset(IMAGES, needs=NEED, kinds={"numpy", "parquet"}, after=["dataset/items"])
def item_images(
    context: dg.AssetExecutionContext, config: ItemImagesConfig, source: SourceResource, store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:  # fmt: skip
    """One row is an item whose picture could be decoded; those that could not stand in the quarantine beside.

    Pictures that did not change since an earlier day are taken from it, as they are.
    """
    opened, catalogue = source.open(), store.input(context, "dataset/items")
    earlier = None if store.recompute else store.open().latest(IMAGES, before=context.partition_key)

    def build(directory: Path, _: TrackedRun) -> Built:
        items = pq.read_table(catalogue.path / "items.parquet", columns=["item_id", "image"])
        made = write_item_images(
            opened, items, directory, PHOTO_SIDE, log_progress,
            earlier.path if earlier and earlier.has_all_files() else None, config.max_quarantine_share,
        )  # fmt: skip
        if made.quarantined:
            steps.warning("  %d pictures of items cannot be used, as of %s", made.quarantined, made.note)
        return Built(vars(made))

    told = {**config.model_dump(), "source": opened.fingerprint(Window.of_day(day_of(context)), "items")}
    return produce(context, store, tracker, inputs=[catalogue], config=told, build=build, describe=_describe)


@stage_asset(VECTORS, needs=NEED, kinds={"safetensors", "numpy"}, after=[IMAGES])
def item_image_vectors(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row says how an item looks: colours, where they are, and which way its edges run. Nothing is learned."""
    pictures = store.input(context, IMAGES)

    def build(directory: Path, _: TrackedRun) -> Built:
        found = ItemImages.load(pictures.path)
        table = VectorTable(found.item_ids, describe_photos(found.images))
        table.save(directory / TABLES[VECTORS])
        return Built({"items": len(table), "dimensions": table.dim}, digest=table.digest())

    return produce(context, store, tracker, inputs=[pictures], config={}, build=build)


def _describe(artifact: Artifact) -> dict[str, Any]:
    """Pictures spread over the catalogue."""
    found = ItemImages.load(artifact.path)
    if not found.item_ids:
        return {}
    rows = np.linspace(0, len(found.item_ids) - 1, min(len(found.item_ids), SHOWN)).astype(int)
    grid = image_grid([found.images[row] for row in rows], [found.item_ids[row] for row in rows])
    return {"sample pictures": picture(grid, "sample pictures")}


ITEM_IMAGE_ASSETS = [item_images, item_image_vectors]
