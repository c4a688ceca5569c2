"""Pictures of a catalogue: decoded once, kept from day to day, put aside with a reason where they cannot be read."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from recsys_pipeline.core.dataset.item_images import QUARANTINE, ItemImages, write_item_images
from recsys_pipeline.core.errors import ArtifactError, DataError, SourceError


def png(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 30), (red, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


class Folder:
    def __init__(self, **images: bytes) -> None:
        self.images = images

    def image(self, reference: str) -> bytes:
        if reference not in self.images:
            raise SourceError(f"cannot read image {reference!r}")
        return self.images[reference]


def catalogue(**images: str | None) -> pa.Table:
    return pa.table({"item_id": list(images), "image": pa.array(list(images.values()), pa.string())})


ITEMS = catalogue(lamp="a", chair="b", rug=None, vase="gone", bowl="torn")
SOURCE = Folder(a=png(200), b=png(90), torn=png(10)[:40])


def test_every_named_picture_is_kept_or_put_aside_with_a_reason(tmp_path: Path) -> None:
    made = write_item_images(SOURCE, ITEMS, tmp_path, 16)
    assert (made.images, made.without_image, made.quarantined, made.images_decoded) == (2, 1, 2, 2)
    found = ItemImages.load(tmp_path)
    assert found.item_ids == ["chair", "lamp"]
    assert [int(picture[0, 0, 0]) for picture in found.images] == [90, 200]
    rejected = {row["item_id"]: row["reason"] for row in pq.read_table(tmp_path / QUARANTINE).to_pylist()}
    assert "cannot read image 'gone'" in rejected["vase"]
    assert "does not decode" in rejected["bowl"]
    assert made.note.startswith("bowl: does not decode")


def test_a_day_decodes_its_new_pictures_only_and_gives_the_same_bytes(tmp_path: Path) -> None:
    write_item_images(SOURCE, catalogue(chair="b"), tmp_path / "first", 16)
    later = write_item_images(SOURCE, ITEMS, tmp_path / "later", 16, earlier=tmp_path / "first")
    alone = write_item_images(SOURCE, ITEMS, tmp_path / "alone", 16)
    assert (later.images_decoded, alone.images_decoded) == (1, 2)
    for name in ("images.npy", "images.parquet", QUARANTINE):
        assert (tmp_path / "later" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_pictures_of_another_size_are_decoded_anew(tmp_path: Path) -> None:
    write_item_images(SOURCE, ITEMS, tmp_path / "small", 8)
    made = write_item_images(SOURCE, ITEMS, tmp_path / "large", 16, earlier=tmp_path / "small")
    assert made.images_decoded == 2


def test_too_many_bad_pictures_fail_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 4 pictures .* max_quarantine_share = 0.4 .*bowl: does not decode"):
        write_item_images(SOURCE, ITEMS, tmp_path, 16, max_quarantine_share=0.4)


def test_a_catalogue_without_any_picture_is_no_error(tmp_path: Path) -> None:
    made = write_item_images(SOURCE, catalogue(rug=None), tmp_path, 16)
    assert (made.images, made.without_image, made.note) == (0, 1, "-")
    assert ItemImages.load(tmp_path).images.shape == (0, 16, 16, 3)


def test_pictures_that_fit_no_ids_are_refused(tmp_path: Path) -> None:
    write_item_images(SOURCE, ITEMS, tmp_path, 16)
    np.save(tmp_path / "images.npy", np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(ArtifactError, match="1 pictures of 2 items"):
        ItemImages.load(tmp_path)
