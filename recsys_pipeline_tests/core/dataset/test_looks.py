"""Writing looks: images of every kind, bad rows, and files that do not depend on the order of the input."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recsys_pipeline.core.dataset.image_files import decode_image
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.dataset.schema import QUARANTINE
from recsys_pipeline.core.errors import ArtifactError, DataError, SourceError
from recsys_pipeline_tests.look_fixtures import NO_ITEMS, ImageSource, encoded, plain

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
IMAGES = {"room": plain(RED), "hall": plain(GREEN), "chair": plain(BLUE), "lamp": plain(GREEN), "rug": plain(RED)}
FILES = ("looks.parquet", "scenes.parquet", "products.parquet", "quarantine.parquet")


def look(scene: str, product: str, **changed: object) -> dict:
    row = {"scene_id": f"s-{scene}", "product_id": f"p-{product}", "category": product}
    return {**row, "scene_image": scene, "product_image": product, "bbox": [0.0, 0.0, 0.5, 0.5], **changed}


GOOD = [look("room", "chair"), look("room", "lamp", bbox=None), look("hall", "chair")]


def table(rows: list[dict]) -> pa.Table:
    schema = [(name, pa.string()) for name in ("scene_id", "product_id", "category", "scene_image", "product_image")]
    return pa.Table.from_pylist(rows, schema=pa.schema([*schema, ("bbox", pa.list_(pa.float32()))]))


def reasons(directory: Path) -> list[str]:
    return pq.read_table(directory / "quarantine.parquet")["reason"].to_pylist()


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    summary = write_looks(ImageSource(IMAGES), table(GOOD), NO_ITEMS, tmp_path, image_size=8)
    data = LookData.load(tmp_path)
    assert (summary.scenes, summary.products, summary.pairs, summary.pairs_with_box) == (2, 2, 3, 2)
    assert summary.quarantined == 0
    assert data.scene_ids == ["s-hall", "s-room"]
    assert data.product_ids == ["p-chair", "p-lamp"]
    assert [(data.scene_ids[s], data.product_ids[p]) for s, p in zip(data.scene, data.product, strict=True)] == [
        ("s-hall", "p-chair"),
        ("s-room", "p-chair"),
        ("s-room", "p-lamp"),
    ]
    assert [data.categories[row] for row in data.product_category] == ["chair", "lamp"]
    assert data.scene_images.shape == (2, 8, 8, 3)
    assert data.scene_images[1, 4, 4].tolist() == list(RED)
    assert isinstance(data.product_images, np.memmap)
    assert np.isnan(data.box[2]).all()
    assert data.box[0].tolist() == [0, 0, 0.5, 0.5]


@given(order=st.permutations(GOOD))
def test_files_do_not_depend_on_row_order(order: list[dict], tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for directory, rows in ((first, GOOD), (second, order)):
        write_looks(ImageSource(IMAGES), table(rows), NO_ITEMS, directory, image_size=4)
    for name in (*FILES, "scene_images.npy", "product_images.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_whole_catalogue_gets_an_image(tmp_path: Path) -> None:
    items = pa.table(
        {
            "item_id": ["p-chair", "p-rug", "p-plain"],
            "categories": [["seat"], ["floor", "home"], []],
            "image": ["chair", "rug", None],
        }
    )
    write_looks(ImageSource(IMAGES), table(GOOD), items, tmp_path, image_size=4)
    products = pq.read_table(tmp_path / "products.parquet").to_pylist()
    assert [(row["product_id"], row["category"]) for row in products] == [
        ("p-chair", "chair"),
        ("p-lamp", "lamp"),
        ("p-rug", "floor"),
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (look("room", "ghost"), "no image 'ghost'"),
        (look("room", "broken"), "does not decode"),
        (look("room", "cut"), "does not decode"),
        (look("room", "dot"), "the image is 1×1, smaller than 4 pixels"),
        (look("ghost", "chair"), "no image 'ghost'"),
        (look("room", "rug", bbox=[0.5, 0, 0.2, 1]), "has no area"),
        (look("room", "rug", bbox=[0, 0, 2, 1]), "leaves the scene"),
        (look("room", "rug", bbox=[0, 0, 1]), "3 numbers instead of 4"),
        (look("room", "rug", bbox=[0, 0, float("nan"), 1]), "leaves the scene"),
        (look("room", "rug", category=None), "category is empty"),
        (look("room", "rug", scene_image="chair"), "contradicts 'room'"),
        (look("room", "chair", bbox=[0.5, 0.5, 1, 1]), "duplicate"),
    ],
)
def test_bad_rows_are_quarantined_and_the_rest_is_kept(tmp_path: Path, bad: dict, reason: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    images = {**IMAGES, "broken": b"GIF89a?", "cut": encoded(Image.fromarray(noise))[:300], "dot": plain(RED, size=1)}
    summary = write_looks(ImageSource(images), table([*GOOD, bad]), NO_ITEMS, tmp_path, image_size=4)
    assert summary.pairs == len(GOOD)
    found = reasons(tmp_path)
    assert len(found) == summary.quarantined == 1
    assert reason in found[0]


def test_the_quarantine_has_one_form_and_tells_the_place(tmp_path: Path) -> None:
    traced = [{**row, "source_file": "looks.csv", "source_row": number} for number, row in enumerate(GOOD, 1)]
    bad = {**look("room", "rug", scene_image="chair"), "source_file": "looks.csv", "source_row": 7}
    rows = table([*GOOD, look("room", "ghost")])
    place = pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])
    rows = pa.Table.from_pylist([*traced, bad, look("room", "ghost")], schema=pa.schema([*rows.schema, *place]))
    write_looks(ImageSource(IMAGES), rows, NO_ITEMS, tmp_path, image_size=4)
    quarantine = pq.read_table(tmp_path / "quarantine.parquet")
    assert quarantine.schema.equals(QUARANTINE)
    contradicting, without_image = quarantine.to_pylist()
    assert (contradicting["source_file"], contradicting["source_row"]) == ("looks.csv", 7)
    assert json.loads(without_image["raw"]) == {"scene_id": None, "product_id": "p-ghost", "reference": "ghost"}


def test_a_scene_without_products_is_quarantined(tmp_path: Path) -> None:
    write_looks(ImageSource(IMAGES), table([*GOOD, look("rug", "ghost")]), NO_ITEMS, tmp_path, image_size=4)
    assert "no product of this scene could be used" in reasons(tmp_path)
    assert "s-rug" not in LookData.load(tmp_path).scene_ids


def test_nothing_usable_and_missing_columns_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 1 looks cannot be used.*first reason: no image .ghost"):
        write_looks(ImageSource(IMAGES), table([look("ghost", "chair")]), NO_ITEMS, tmp_path)
    with pytest.raises(SourceError, match=r"looks: wrong columns: missing \['category'\]"):
        write_looks(ImageSource(IMAGES), table(GOOD).drop_columns("category"), NO_ITEMS, tmp_path)


def test_too_many_looks_without_images_are_an_error(tmp_path: Path) -> None:
    rows = table([*GOOD, look("room", "ghost"), look("room", "phantom")])
    with pytest.raises(DataError, match=r"2 of 5 looks cannot be used, more than max_quarantine_share = 0\.39"):
        write_looks(ImageSource(IMAGES), rows, NO_ITEMS, tmp_path, max_quarantine_share=0.39)
    assert write_looks(ImageSource(IMAGES), rows, NO_ITEMS, tmp_path, max_quarantine_share=0.4).pairs == 3


def test_missing_files_say_so(tmp_path: Path) -> None:
    write_looks(ImageSource(IMAGES), table(GOOD), NO_ITEMS, tmp_path, image_size=4)
    (tmp_path / "scene_images.npy").unlink()
    with pytest.raises(ArtifactError, match="write them again"):
        LookData.load(tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_every_kind_of_image_keeps_its_brightness(mode: str) -> None:
    grey = Image.new("L", (10, 10), 255)
    image = Image.fromarray(np.full((10, 10), 65535, np.uint16)) if mode == "I;16" else grey.convert(mode)
    frame = decode_image(encoded(image, "TIFF" if mode == "CMYK" else "PNG"), 6)
    assert frame.shape == (6, 6, 3)
    assert frame.min() >= 250


def test_transparency_shows_white() -> None:
    assert decode_image(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), 4).min() == 255


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (8, 8), RED)
    image.paste(BLUE, (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    assert decode_image(buffer.getvalue(), 8)[7, 4].tolist() == list(BLUE)


def test_a_broken_byte_in_a_rare_kind_of_image_is_no_crash() -> None:
    data = bytearray(encoded(Image.new("RGB", (24, 24), RED), "AVIF"))
    data[81] = 0x10
    with pytest.raises(ValueError, match="does not decode") as error:
        decode_image(bytes(data), 8)
    assert isinstance(error.value.__cause__, RuntimeError), "what Pillow raises here has changed: find another byte"


@given(data=st.binary(max_size=64))
def test_any_bytes_give_an_image_or_a_reason(data: bytes) -> None:
    try:
        decode_image(data, 4)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ways are right; anything else must escape


@pytest.mark.data
def test_ikea_looks(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "ikea-stl"
    with (folder / "scene_product_pairs.csv").open(encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))[:60]
    rows = [look(pair["scene"], pair["product"], bbox=None) for pair in pairs]
    names = {name for pair in pairs for name in pair.values()}
    source = ImageSource({name: (folder / name).read_bytes() for name in names})
    summary = write_looks(source, table(rows), NO_ITEMS, tmp_path, image_size=16)
    assert (summary.pairs, summary.quarantined) == (60, 0)
