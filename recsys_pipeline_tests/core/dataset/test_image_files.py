"""Real files of every kind that the world sends: a frame, or a reason that is the same each time."""

import io
import tracemalloc
import warnings
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from recsys_pipeline.core.dataset import image_files
from recsys_pipeline.core.dataset.image_files import decode_image, write_images
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.folds.negatives import Negatives
from recsys_pipeline.core.folds.triplets import TripletConfig, draw_triplets, split_looks
from recsys_pipeline_tests.look_fixtures import NO_ITEMS, ImageSource, encoded, plain

RED, BLUE = (255, 0, 0), (0, 0, 255)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def animated(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (12, 12), colour) for colour in (RED, BLUE)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=50, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    data = animated(kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 2
    assert decode_image(data, 4)[2, 2].tolist() == list(RED)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    frame = decode_image(encoded(Image.new("RGB", (32, 32), RED).convert("CMYK"), "JPEG"), 8)
    assert np.abs(frame.astype(int) - RED).max() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
@given(share=st.floats(0, 0.9))
@settings(max_examples=15)
def test_a_truncated_file_gives_a_reason(kind: str, share: float) -> None:
    whole = encoded(NOISE, kind)
    with pytest.raises(ValueError, match="does not decode"):
        decode_image(whole[: int(share * len(whole))], 8)


@pytest.mark.parametrize("data", [b"", b"<!doctype html><title>Not found</title>", b"<svg xmlns='...'/>"])
def test_what_is_no_image_is_told_by_its_first_bytes(data: bytes) -> None:
    for _ in range(2):  # an address in memory would make the reason, and so the digest, differ each time
        with pytest.raises(ValueError, match="no known kind of image, it begins with") as error:
            decode_image(data, 8)
        assert " at 0x" not in str(error.value)


def test_the_bytes_say_what_kind_of_image_it_is(tmp_path: Path) -> None:
    written = write_images(ImageSource({"photo.jpg": plain(RED)}), {"a": "photo.jpg"}, tmp_path / "a.npy", 8)
    assert not written.failures
    assert np.load(tmp_path / "a.npy")[0, 0, 0].tolist() == list(RED)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_tiny_images_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"{size[0]}×{size[1]}, smaller than 4 pixels"):
        decode_image(encoded(Image.new("RGB", size)), 8)


def test_a_jpeg_20000_pixels_wide_is_decoded_at_a_fraction_without_a_warning() -> None:
    data = encoded(Image.new("L", (20_000, 5_000), 200), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(data, 16).min() > 190


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"progressive": True}), ("TIFF", {"compression": "tiff_deflate"})]
)
def test_what_must_be_held_whole_is_refused_before_it_is_held(kind: str, options: dict) -> None:
    buffer = io.BytesIO()
    Image.new("L", (20_000, 1_300), 200).save(buffer, kind, **options)
    with pytest.raises(ValueError, match=r"20000×1300, more than 25,000,000 pixels: scale it down"):
        decode_image(buffer.getvalue(), 16)


def test_beyond_the_largest_canvas_nothing_is_even_tried() -> None:
    header = bytearray(encoded(Image.new("L", (8, 8))))
    header[16:24] = (60_000).to_bytes(4) * 2  # a bomb that only its header tells
    with pytest.raises(ValueError, match="does not decode"):
        decode_image(bytes(header), 16)


def test_transparent_pixels_do_not_bleed_their_colour() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 32, 64))
    frame = decode_image(encoded(image), 16).astype(int)
    assert frame[8, 2].tolist() == list(BLUE)
    assert frame[8, 13].tolist() == [255, 255, 255]
    assert (frame[..., 0] <= frame[..., 2] + 1).all()  # nowhere redder than the white that shows through


BAD = {
    "missing": None,
    "empty": b"",
    "truncated": encoded(NOISE, "JPEG")[:900],
    "page": b"<!doctype html>",
    "dot": plain(RED, size=1),
    "bomb": encoded(Image.new("L", (20_000, 1_300))),
}
ODD = {
    "cmyk": encoded(NOISE.convert("CMYK"), "JPEG"),
    "animated": animated("GIF"),
    "wide": encoded(Image.new("L", (20_000, 16), 9), "JPEG"),
}


def test_with_every_kind_of_bad_input_an_epoch_still_runs_to_its_end(tmp_path: Path) -> None:
    images = {f"room{number}": plain((9 * number, 0, 0)) for number in range(12)} | {"chair": plain(BLUE), **ODD}
    images |= {name: data for name, data in BAD.items() if data is not None}
    boxes = {"outside": [0, 0, 2, 1], "inverted": [0.9, 0, 0.1, 1], "not_a_number": [0, 0, float("nan"), 1]}
    rows = [(f"room{scene}", name, None) for scene in range(12) for name in [("chair", *ODD)[scene % 4], *BAD]]
    rows += [("room0", name, box) for name, box in zip(ODD, boxes.values(), strict=True)]
    rows += [(name, "chair", None) for name in BAD]
    columns = {"scene_id": 0, "product_id": 1, "category": 1, "scene_image": 0, "product_image": 1, "bbox": 2}
    kinds = [(name, pa.list_(pa.float32()) if name == "bbox" else pa.string()) for name in columns]
    table = pa.table({name: [row[at] for row in rows] for name, at in columns.items()}, schema=pa.schema(kinds))
    summary = write_looks(ImageSource(images), table, NO_ITEMS, tmp_path, 16, max_quarantine_share=0.9)
    assert (summary.scenes, summary.products, summary.pairs) == (12, 4, 12)
    reasons = pq.read_table(tmp_path / "quarantine.parquet")["reason"].to_pylist()
    assert len(reasons) == summary.quarantined == 2 * len(BAD) + len(boxes)
    for reason in ("no image", "no known kind", "truncated", "1×1", "more than 25,000,000", "leaves the scene", "area"):
        assert any(reason in found for found in reasons), reason

    data = LookData.load(tmp_path)  # each product is alone in its category, and each scene has but one
    train = split_looks(data, TripletConfig(), 0).for_training(data)
    for strategy in get_args(Negatives):
        triplets = draw_triplets(train, 0, 0, strategy)
        assert (triplets.positive != triplets.negative).all()
        pixels = data.scene_images[triplets.scene], data.product_images[triplets.positive]
        assert [part.shape for part in pixels] == [(len(train.rows), 16, 16, 3)] * 2


def test_known_images_are_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = pa.table(
        {
            "scene_id": ["s"],
            "product_id": ["p"],
            "category": ["chair"],
            "scene_image": ["room"],
            "product_image": ["chair"],
        }
    )
    source = ImageSource({"room": plain(RED), "chair": plain(BLUE), "lamp": plain(RED)})
    items = pa.table({"item_id": ["q"], "image": ["lamp"]})
    first = write_looks(source, looks, NO_ITEMS, tmp_path / "first", 16)
    second = write_looks(source, looks, items, tmp_path / "second", 16, earlier=tmp_path / "first")
    assert (first.images_decoded, second.images_decoded) == (2, 0)  # the lamp's photograph is the room's
    source = ImageSource({**source.images, "chair": plain((0, 255, 0))})
    third = write_looks(source, looks, items, tmp_path / "third", 16, earlier=tmp_path / "second")
    fresh = write_looks(source, looks, items, tmp_path / "fresh", 16)
    assert (third.images_decoded, fresh.images_decoded) == (1, 3)
    for path in (tmp_path / "fresh").iterdir():
        assert path.read_bytes() == (tmp_path / "third" / path.name).read_bytes(), path.name
    assert LookData.load(tmp_path / "third").product_images[0, 8, 8].tolist() == [0, 255, 0]
    assert write_looks(source, looks, items, tmp_path / "larger", 32, earlier=tmp_path / "third").images_decoded == 3
    monkeypatch.setattr(image_files, "DECODER", "another version")
    assert write_looks(source, looks, items, tmp_path / "newer", 16, earlier=tmp_path / "third").images_decoded == 3
    with pytest.raises(ArtifactError, match="write them again"):
        write_looks(source, looks, items, tmp_path / "none", 16, earlier=tmp_path / "missing")


def test_a_source_that_knows_versions_is_not_even_asked_for_known_images(tmp_path: Path) -> None:
    shop, other = (Simulator(SIZES["tiny"], seed) for seed in (0, 1))
    references = {f"{number}": f"products/p{number:06}.png" for number in range(3)}
    written = write_images(shop, references, tmp_path / "a.npy", 8)
    frames = np.load(tmp_path / "a.npy")
    known = {written.digests[key]: frames[row] for row, key in enumerate(sorted(references))}
    assert write_images(shop, references, tmp_path / "b.npy", 8, known=known).decoded == 0
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert write_images(other, references, tmp_path / "b.npy", 8, known=known).decoded == 3


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    source, n = ImageSource({"photo": plain(RED)}), 400
    tracemalloc.start()
    write_images(source, {f"{number:04}": "photo" for number in range(n)}, tmp_path / "a.npy", 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * 64 * 64 * 3 / 2


def test_no_image_starts_a_program() -> None:
    """Pillow hands PostScript to Ghostscript."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(buffer, "EPS")
    with pytest.raises(ValueError, match="no known kind of image"):
        decode_image(buffer.getvalue(), 16)


def test_a_phones_photo_of_several_pictures_gives_its_first() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(
        buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (20, 20), "blue")]
    )
    assert decode_image(buffer.getvalue(), 16)[8, 8].tolist() == pytest.approx([254, 0, 0], abs=3)
