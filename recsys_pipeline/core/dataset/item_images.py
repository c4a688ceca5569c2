"""Pictures of a catalogue without looks: each decoded once, for people to see and for models of new items to learn."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from recsys_pipeline.core.dataset.image_files import Frames, ImageReader, write_images
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.progress import Progress

TABLE, PIXELS, QUARANTINE = "images.parquet", "images.npy", "quarantine.parquet"
IMAGES = pa.schema([(name, pa.string()) for name in ("item_id", "image", "image_digest")])
REJECTED = pa.schema([(name, pa.string()) for name in ("reason", "item_id", "image")])


@dataclass(frozen=True)
class ItemImages:
    """Ids and decoded pictures, row by row; the pixels are memory-mapped."""

    item_ids: list[str]
    images: UInt8[np.ndarray, "items size size 3"]

    @classmethod
    def load(cls, directory: Path) -> "ItemImages":
        """Open what `write_item_images` wrote; raises `ArtifactError` where a file is missing or fits no other."""
        try:
            ids = pq.read_table(directory / TABLE, columns=["item_id"])["item_id"].to_pylist()
            images = np.load(directory / PIXELS, mmap_mode="r")
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"item images in {directory} cannot be read ({error}): write them again") from error
        if len(images) != len(ids):
            raise ArtifactError(f"{directory} holds {len(images)} pictures of {len(ids)} items: write them again")
        return cls(ids, images)

    @classmethod
    def of_looks(cls, looks: LookData) -> "ItemImages":
        """The pictures of products that looks hold."""
        return cls(looks.product_ids, looks.product_images)

    def frames(self, directory: Path) -> Frames:
        """Pictures by the digest of the file that they were decoded from."""
        digests = pq.read_table(directory / TABLE, columns=["image_digest"])["image_digest"].to_pylist()
        return dict(zip(digests, self.images, strict=True))


@dataclass(frozen=True)
class ItemImagesSummary:
    """What `write_item_images` kept, what had no picture, and what was put aside."""

    images: int
    without_image: int
    quarantined: int
    images_decoded: int
    note: str
    """The first reason why a picture was put aside, with the item's id; `-` where none was."""


def write_item_images(
    source: ImageReader,
    items: pa.Table,
    directory: Path,
    image_size: int,
    progress: Progress | None = None,
    earlier: Path | None = None,
    max_quarantine_share: float = 1.0,
) -> ItemImagesSummary:
    """Decode the picture of every item that names one, in the order of their ids; memory is that of one picture.

    Pictures that have not changed are copied from the folder `earlier`, so that a day costs the decoding of its new
    ones. Those that are missing or broken go to the quarantine with the reason. Raises `DataError` where a larger share
    of the named pictures than `max_quarantine_share` does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    named = zip(items["item_id"].to_pylist(), items["image"].to_pylist(), strict=True)
    references = {item: image for item, image in named if image}
    known: Frames = {}
    if earlier is not None:
        before = ItemImages.load(earlier)
        known = before.frames(earlier) if before.images.shape[1] == image_size else {}
    written = write_images(source, references, directory / PIXELS, image_size, progress, known)
    rejected = [
        {"reason": why, "item_id": item, "image": references[item]} for item, why in sorted(written.failures.items())
    ]
    note = f"{rejected[0]['item_id']}: {rejected[0]['reason']}" if rejected else "-"
    if len(rejected) > max_quarantine_share * len(references):
        raise DataError(
            f"{len(rejected)} of {len(references)} pictures of items cannot be used, more than max_quarantine_share = "
            f"{max_quarantine_share:g} allows; the first is {json.dumps(note)}. Mend the source, or raise it"
        )
    kept = [
        {"item_id": item, "image": references[item], "image_digest": seen} for item, seen in written.digests.items()
    ]
    pq.write_table(pa.Table.from_pylist(kept, schema=IMAGES), directory / TABLE, compression="zstd")
    pq.write_table(pa.Table.from_pylist(rejected, schema=REJECTED), directory / QUARANTINE)
    return ItemImagesSummary(len(kept), items.num_rows - len(references), len(rejected), written.decoded, note)
