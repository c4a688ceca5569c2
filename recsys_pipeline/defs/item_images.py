"""Pictures of items that stand in no looks: decoded, and described for models of new items and for visual search."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.dataset.item_images import ItemImages, write_item_images
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.learning.cold_start.image_descriptor import PHOTO_SIDE, describe_photos
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.page.pictures import image_grid
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Cached, Read
from recsys_pipeline.defs.shown import log_progress, picture
from recsys_pipeline.defs.step_log import steps

IMAGES, VECTORS, TOWER_VECTORS = "dataset/item_images", "neighbors/item_image_vectors", "neighbors/stl_vectors"
NEED = "item_images"
"""What a source provides whose catalogue names pictures and which has no looks: looks decode them themselves."""
SHOWN = 24


PHOTOS = [Read(TOWER_VECTORS, needs="looks"), Read(VECTORS, needs=NEED)]
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


def _recipe_settings(make: Make) -> Mapping[str, Any]:
    return {**make.form.model_dump(), "source": make.source.fingerprint(make.window, "items")}


def _describe_images(_: Make, artifact: Artifact) -> dict[str, Any]:
    """Pictures spread over the catalogue."""
    found = ItemImages.load(artifact.path)
    if not found.item_ids:
        return {}
    rows = np.linspace(0, len(found.item_ids) - 1, min(len(found.item_ids), SHOWN)).astype(int)
    grid = image_grid([found.images[row] for row in rows], [found.item_ids[row] for row in rows])
    return {"sample pictures": picture(grid, "sample pictures")}


@asset(
    IMAGES, needs=NEED, kinds={"numpy", "parquet"}, reads=[Read("dataset/items"), Cached(IMAGES)],
    form=ItemImagesConfig, settings=_recipe_settings, describe=_describe_images, reads_source=True,
)  # fmt: skip
def item_images(make: Make) -> Built:
    """One row is an item whose picture could be decoded; those that could not stand in the quarantine beside.

    Pictures that did not change since an earlier day are taken from it, as they are.
    """
    items = pq.read_table(make["dataset/items"].path / "items.parquet", columns=["item_id", "image"])
    made = write_item_images(
        make.source, items, make.directory, PHOTO_SIDE, log_progress, make.cached(IMAGES),
        make.form.max_quarantine_share,
    )  # fmt: skip
    if made.quarantined:
        steps.warning("  %d pictures of items cannot be used, as of %s", made.quarantined, made.note)
    return Built(vars(made))


@asset(VECTORS, needs=NEED, kinds={"safetensors", "numpy"}, reads=[Read(IMAGES)])
def item_image_vectors(make: Make) -> Built:
    """One row says how an item looks: colours, where they are, and which way its edges run. Nothing is learned."""
    found = ItemImages.load(make[IMAGES].path)
    table = VectorTable(found.item_ids, describe_photos(found.images))
    table.save(make.directory / TABLES[VECTORS])
    return Built({"items": len(table), "dimensions": table.dim}, digest=table.digest())
