"""The layout of the public Shop The Look data set, read as a source."""

import json
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import FilesConfig, load_files_config
from recsys_pipeline.adapters.sources.stl_config import StlFiles
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.dataset.schema import validate_items, validate_looks
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import DAY, LATER, write_lines
from recsys_pipeline_tests.look_fixtures import plain

CONFIGS = Path(__file__).parents[2] / "conf" / "sources"
CATEGORIES = {
    "ab01": "Apparel|Clothing|Dresses",
    "cd02": "Apparel|Shoes|Boots",
    "ef03": "Apparel|Shoes|Sandals",
}


def pair(scene: str, product: str, **more: object) -> str:
    return json.dumps({"product": product, "scene": scene, "bbox": [0.1, 0.2, 0.5, 1], **more})


GOOD = [pair("5c01", "ab01"), pair("5c01", "cd02"), pair("5c02", "ef03", bbox=None)]


def stl_source(root: Path, lines: list[str] = GOOD, categories: Any = CATEGORIES, **looks: object) -> FilesSource:
    write_lines(root / "fashion.json", lines)
    (root / "fashion-cat.json").write_text(json.dumps(categories))
    return source_over(root, **looks)


def source_over(root: Path, **looks: object) -> FilesSource:
    section = {"kind": "stl", "path": "fashion.json", "categories": "fashion-cat.json", **looks}
    section = section if section["kind"] == "stl" else looks
    document = {"name": "stl", "root": root, "first_day": DAY, "items": {"kind": "stl"}, "looks": section}
    return FilesSource(FilesConfig.model_validate(document))


def test_pairs_categories_and_images(tmp_path: Path) -> None:
    found = stl_source(tmp_path, image="img/{id[0:2]}/{id}.png")
    assert found.provides == {"items", "looks"}
    checked = validate_looks(found.looks(LATER))
    first = checked.clean.to_pylist()[0]
    assert (first["scene_id"], first["product_id"], first["category"]) == ("5c01", "ab01", "Apparel|Clothing|Dresses")
    assert (first["scene_image"], first["product_image"]) == ("img/5c/5c01.png", "img/ab/ab01.png")
    assert first["bbox"] == pytest.approx([0.1, 0.2, 0.5, 1])
    assert (checked.clean.num_rows, checked.quarantine.num_rows) == (3, 0)
    items = validate_items(found.items(LATER), LATER).clean.to_pylist()
    assert [(row["item_id"], row["title"], row["image"]) for row in items] == [
        ("ab01", "Dresses", "img/ab/ab01.png"),
        ("cd02", "Boots", "img/cd/cd02.png"),
        ("ef03", "Sandals", "img/ef/ef03.png"),
    ]


def test_categories_can_be_cut_to_their_first_levels(tmp_path: Path) -> None:
    looks = stl_source(tmp_path, category_levels=2).looks(LATER)
    assert looks["category"].to_pylist() == ["Apparel|Clothing", "Apparel|Shoes", "Apparel|Shoes"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"product": "ab01", "scene"', "no JSON: "),
        ('["ab01", "5c01"]', "scene and product must be texts"),
        (pair("5c01", "", bbox=None), "scene and product must be texts"),
        ('{"product": "ab01", "scene": 7}', "scene and product must be texts"),
        ('{"product": "ab01", "scene": "\\ud800"}', "scene and product must be texts"),
        (pair("5c01", "nowhere"), "product 'nowhere' is not in fashion-cat.json"),
        (pair("5c03", "ab01", bbox="all"), 'bbox "all" is no list of numbers'),
        (pair("5c03", "ab01", bbox=[0, 0, "1", 1]), "is no list of numbers"),
        (pair("5c03", "ab01", bbox=[0, 0, 10**400, 1]), "is no list of numbers"),
        (pair("5c03", "ab01", bbox=[0, 0, float("nan"), 1]), "leaves the scene"),
        (pair("5c03", "ab01", bbox=[0, 0, 400, 300]), "leaves the scene"),
        (pair("5c03", "ab01", bbox=[0.5, 0, 0.2, 1]), "has no area"),
        (pair("5c03", "ab01", bbox=[]), "has 0 numbers instead of 4"),
        (pair("5c01", "ab01", bbox=[0, 0, 1, 1]), "duplicate"),
    ],
)
def test_bad_lines_cost_one_row_each_and_tell_their_place(tmp_path: Path, line: str, reason: str) -> None:
    checked = validate_looks(stl_source(tmp_path, [*GOOD, "", line]).looks(LATER))
    assert checked.clean.num_rows == len(GOOD)
    (bad,) = checked.quarantine.to_pylist()
    assert (bad["source_file"], bad["source_row"]) == ("fashion.json", 5)
    assert reason in bad["reason"]


@pytest.mark.parametrize(
    ("categories", "message"), [(["a"], "must be a JSON object"), ({"ab01": 3}, "but 'ab01' has 3"), ("{", "object")]
)
def test_broken_category_maps_are_told(tmp_path: Path, categories: object, message: str) -> None:
    with pytest.raises(SourceError, match=rf"fashion-cat\.json \(looks\.categories\).*{message}"):
        stl_source(tmp_path, categories=categories).looks(LATER)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": "images/{name}.jpg"}, r"looks\.image: .* must hold \{id\}"),
        ({"image": "../{id}.jpg"}, r"looks\.image: .* must be relative and below root"),
        ({"header": True}, r"unknown key looks\.header; valid keys here are kind, path, categories"),
        ({"fetch": {"url": "ftp://host/{id}"}}, r"looks\.fetch\.url"),
        ({"fetch": {"url": "http://host/{id}", "rate": 1}}, r"unknown key looks\.fetch\.rate; valid keys here are url"),
        ({"kind": "cvs"}, "looks: .*'table', 'stl'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, changed: dict, message: str) -> None:
    section = {"kind": "stl", "path": "fashion.json", "categories": "fashion-cat.json", **changed}
    lines = ['name = "stl"', 'root = "."', "first_day = 2019-06-01", "[looks]"]
    values = {key: value for key, value in section.items() if not isinstance(value, dict)}
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    lines += ["[looks.fetch]", *(f"{key} = {json.dumps(value)}" for key, value in section.get("fetch", {}).items())]
    write_lines(tmp_path / "stl.toml", lines[: None if "fetch" in changed else -1])
    with pytest.raises(SettingError, match=message):
        load_files_config(tmp_path / "stl.toml")


def test_items_of_kind_stl_need_such_looks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='items of kind "stl" need looks of kind "stl"'):
        source_over(tmp_path, kind="table", path="a.csv", columns={"scene_image": 1, "product_image": 2})


def test_the_example_config_is_valid() -> None:
    config = load_files_config(CONFIGS / "stl-fashion.toml", {"RECSYS_DATA_DIR": "/data"})
    assert isinstance(config.looks, StlFiles)
    assert config.looks.fetch is not None


def test_the_fingerprint_sees_new_images_and_categories_but_not_how_images_are_fetched(tmp_path: Path) -> None:
    window = Window.of_day(DAY)
    source = stl_source(tmp_path, image="images/{id[0:2]}/{id}.jpg")
    prints = [source.fingerprint(window, "looks")]
    for name in ("ab01", "ab02", "cd02"):
        image = tmp_path / "images" / name[:2] / f"{name}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(plain((1, 2, 3)))
        prints.append(source.fingerprint(window, "looks"))
    fetching = source_over(tmp_path, image="images/{id[0:2]}/{id}.jpg", fetch={"url": "http://host/{id}"})
    assert fetching.fingerprint(window, "looks") == prints[-1]
    (tmp_path / "fashion-cat.json").write_text("{}")
    prints.append(source.fingerprint(window, "looks"))
    assert len(set(prints)) == 5


def test_looks_of_what_has_been_fetched_so_far(tmp_path: Path) -> None:
    source = stl_source(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("5c01", "5c02", "ab01"):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(plain((200, 0, 0)))
    summary = write_looks(
        source, source.looks(LATER), source.items(LATER), tmp_path / "out", 16, max_quarantine_share=0.9
    )
    assert (summary.pairs, summary.scenes, summary.products) == (1, 1, 1)
    assert summary.quarantined == 3  # two products without an image, and the scene that they leave empty
    assert LookData.load(tmp_path / "out").categories == ["Apparel|Clothing|Dresses"]
