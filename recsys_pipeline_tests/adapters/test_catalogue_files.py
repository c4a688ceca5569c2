"""Items, looks and images from files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import FilesConfig
from recsys_pipeline.core.dataset.schema import validate_items, validate_looks
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import (
    DAY,
    LATER,
    rating_line,
    source_over,
    write_lines,
)


def test_items_with_duplicate_ids_bad_prices_and_later_entries(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    lines = [
        "id,name,tags,cost,since",
        "1,One,a|b,2.5,2026-01-01",
        "1,Uno,a,2,2026-01-01",
        "2,Two,,cheap,2026-01-01",
        "3,Three,c,1,2026-05-01",
    ]
    write_lines(tmp_path / "items.csv", lines)
    columns = {"item_id": "id", "title": "name", "categories": "tags", "price": "cost", "created_at": "since"}
    found = source_over(tmp_path, items={"kind": "table", "path": "items.csv", "header": True, "columns": columns})
    checked = validate_items(found.items(LATER), LATER)
    (item,) = checked.clean.to_pylist()
    assert (item["item_id"], item["title"], item["categories"], item["price"]) == ("1", "One", ["a", "b"], 2.5)
    bad = [(row["source_row"], row["reason"]) for row in checked.quarantine.to_pylist()]
    assert bad == [(3, "duplicate: an earlier row has the same item_id"), (4, "price 'cheap' is not a number")]


def test_looks_with_boxes_and_images(tmp_path: Path) -> None:
    lines = [
        "scene,product,l,t,r,b",
        "scenes/1.jpg,chair/9.jpg,0.1,0.2,0.3,0.4",
        "scenes/1.jpg,bed/8.v2.jpg,,,,",
        "scenes/1.jpg,bed/7.jpg,x,0,1,1",
    ]
    write_lines(tmp_path / "pairs.csv", lines)
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "1.jpg").write_bytes(b"picture")
    columns = {"scene_image": "scene", "product_image": "product", "left": "l", "top": "t", "right": "r", "bottom": "b"}
    looks = {"path": "pairs.csv", "header": True, "columns": columns}
    found = FilesSource(
        FilesConfig.model_validate({"name": "looks", "root": tmp_path, "first_day": DAY, "looks": looks})
    )
    assert found.provides == {"looks"}, "looks bring the pictures of their products"
    assert (found.days().first, found.days().last) == (DAY, None)
    checked = validate_looks(found.looks(LATER))
    pairs = {row["product_id"]: (row["scene_id"], row["category"], row["bbox"]) for row in checked.clean.to_pylist()}
    assert pairs["bed/8.v2"] == ("scenes/1", "bed", None)
    assert pairs["chair/9"][2] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert checked.quarantine.column("reason").to_pylist() == ["left 'x' is not a number"]
    assert found.image("scenes/1.jpg") == b"picture"
    with pytest.raises(SourceError, match="declares no \\[interactions\\]"):
        found.interactions(Window.of_day(DAY))


@pytest.mark.parametrize("content", ['["a"]', '{"a": {"b": 1}}', "7", "[" * 10_000])
def test_titles_of_another_shape_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "a.jpg").write_bytes(b"picture")
    (tmp_path / "titles.json").write_text(content)
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    items = {"kind": "images", "path": "*/*.jpg", "titles": "titles.json"}
    with pytest.raises(SourceError, match=r"titles\.json \(items\.titles\)"):
        source_over(tmp_path, items=items).items(LATER)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.symlink_to(path), "cannot read image 'it.jpg'.*oop"),
        (lambda path: os.mkfifo(path), "image 'it.jpg' below .* is no regular file"),
        (lambda path: path.mkdir(), "image 'it.jpg' below .* is no regular file"),
    ],
)
def test_what_is_no_picture_is_named_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    make(tmp_path / "it.jpg")
    with pytest.raises(SourceError, match=why):
        source_over(tmp_path).image("it.jpg")


@pytest.mark.parametrize("reference", ["../secret", "/etc/hostname", "scenes/../../secret", "link"])
def test_images_outside_the_root_are_refused(tmp_path: Path, reference: str) -> None:
    root = tmp_path / "root"
    write_lines(root / "ratings.dat", [rating_line(1, 1)])
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceError, match="leads out of"):
        source_over(root).image(reference)
    with pytest.raises(SourceError, match=r"cannot read image 'none\.jpg' below"):
        source_over(root).image("none.jpg")


@pytest.mark.parametrize(("image", "looks", "expected"), [("4", False, True), ("4", True, False), (None, False, False)])
def test_pictures_are_the_catalogues_own_where_no_looks_bring_them(
    tmp_path: Path, image: str | None, looks: bool, expected: bool
) -> None:
    items = {"path": "items.csv", "columns": {"item_id": 1, **({"image": int(image)} if image else {})}}
    pairs = {"path": "pairs.csv", "columns": {"scene_image": 1, "product_image": 2}}
    events = {"path": "e.csv", "event": "click", "values": {"click": 1.0}, "time_unit": "s",
              "columns": {"user_id": 1, "item_id": 2, "timestamp": 3}}  # fmt: skip
    document = {"name": "shop", "root": tmp_path, "interactions": events, "items": items}
    found = FilesSource(FilesConfig.model_validate({**document, **({"looks": pairs} if looks else {})}))
    assert ("item_images" in found.provides) == expected
