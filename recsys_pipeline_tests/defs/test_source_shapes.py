"""What a source cannot feed is not loaded: the graph is that of the data at hand."""

import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from recsys_pipeline_tests.processes import exit_code

CONF = Path(__file__).parents[2] / "conf" / "sources"
BOTH = {"dataset/items", "reports/daily", "reports/parity"}
OF_NEW_ITEMS = {"dataset/joins", "models/cold_start", "neighbors/cold_vectors", "reports/new_items"}
"""They need interactions to learn from, and a catalogue that says what is new."""
OF_LOOKS = {
    "dataset/looks", "folds/triplets", "learning/stl_sweep", "models/stl", "neighbors/stl_vectors",
    "neighbors/stl_index", "reports/looks",
}  # fmt: skip
OF_INTERACTIONS = {
    "dataset/interactions", "dataset/snapshot", "folds/prequential", "learning/als_sweep", "models/random",
    "models/popularity", "models/cooccurrence", "models/ease", "models/als", "models/bayesian_mf", "models/sampled_mf",
    "models/svdpp", "neighbors/als_vectors", "learning/bayesian_mf_sweep", "learning/cooccurrence_sweep",
    "learning/ease_sweep", "learning/sampled_mf_sweep", "learning/svdpp_sweep",
    "neighbors/als_index", "reports/ranking", "reports/day_by_day", "reports/drift", "reports/off_policy",
    "serving/release", "serving/decision", "serving/champion", "speed/interactions", "speed/overlay", "speed/monitor",
}  # fmt: skip


def describe_definitions(environment: dict[str, str], found: Path) -> None:
    """Load the code location with these settings, and write down what is in it."""
    os.environ.update(environment)
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.partitions import daily

    specs = list(defs.resolve_all_asset_specs())
    names = {
        "assets": sorted(spec.key.to_user_string() for spec in specs),
        "deps": sorted({dep.asset_key.to_user_string() for spec in specs for dep in spec.deps}),
        "schedules": sorted(schedule.name for schedule in defs.schedules or ()),
        "first": daily().get_first_partition_key(),
    }
    found.write_text(json.dumps(names))


def loaded(tmp_path: Path, **environment: str) -> dict:
    found = tmp_path / "found.json"
    values = {"RECSYS_HOME": str(tmp_path / "home"), "RECSYS_SOURCE": "files", **environment}
    assert exit_code(describe_definitions, values, found) == 0
    return json.loads(found.read_text())


def test_a_source_of_looks_loads_looks_only(tmp_path: Path) -> None:
    root = tmp_path / "ikea-stl"
    for name in ("room_scenes/s1", "chair/1.2", "bed/3.4"):
        path = root / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.new("RGB", (20, 20), (200, 30, 30)).save(buffer, "JPEG")
        path.write_bytes(buffer.getvalue())
    pairs = ["scene,product", *(f"images/room_scenes/s1.jpg,images/{name}.jpg" for name in ("chair/1.2", "bed/3.4"))]
    (root / "scene_product_pairs.csv").write_text("\n".join(pairs) + "\n")
    (root / "categories_images_dict.json").write_text('{"1.2": "Chair", "3.4": "Bed"}')
    found = loaded(tmp_path, RECSYS_SOURCE_CONFIG=str(CONF / "ikea-looks.toml"), RECSYS_DATA_DIR=str(tmp_path))
    assert set(found["assets"]) == OF_LOOKS | BOTH
    assert set(found["deps"]) <= set(found["assets"]), "no asset waits for one that is not there"
    assert found["schedules"] == ["batch_daily", "sweep_weekly", "wandb_mirror"]
    assert found["first"] == "2018-01-01"


def test_looks_need_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("room/s1.jpg,chair/1.jpg\n")
    columns = "scene_image = 1\nproduct_image = 2"
    text = f'name = "mini"\nroot = "{tmp_path}"\nfirst_day = 2026-03-01\n[looks]\npath = "pairs.csv"\n'
    (tmp_path / "mini.toml").write_text(f"{text}[looks.columns]\n{columns}\n")
    found = loaded(tmp_path, RECSYS_SOURCE_CONFIG=str(tmp_path / "mini.toml"))
    assert set(found["assets"]) == OF_LOOKS | BOTH - {"dataset/items"}
    assert set(found["deps"]) <= set(found["assets"]), "no asset waits for a catalogue that is not there"


@pytest.mark.parametrize("with_items", [True, False])
def test_a_source_of_interactions_loads_no_looks(tmp_path: Path, with_items: bool) -> None:
    (tmp_path / "ratings.csv").write_text("1,7,4.5,1772323200\n2,7,3.0,1772409600\n")
    (tmp_path / "titles.csv").write_text("7,Seven,crime\n")
    columns = "user_id = 1\nitem_id = 2\nvalue = 3\ntimestamp = 4"
    text = (
        f'name = "mini"\nroot = "{tmp_path}"\n[interactions]\npath = "ratings.csv"\ntime_unit = "s"\n'
        f'event = "rating"\n[interactions.columns]\n{columns}\n'
    )
    if with_items:
        text += '[items]\npath = "titles.csv"\n[items.columns]\nitem_id = 1\ntitle = 2\ncategories = 3\n'
    (tmp_path / "mini.toml").write_text(text)
    found = loaded(tmp_path, RECSYS_SOURCE_CONFIG=str(tmp_path / "mini.toml"))
    more = BOTH | OF_NEW_ITEMS if with_items else BOTH - {"dataset/items"}
    assert set(found["assets"]) == OF_INTERACTIONS | more
    assert set(found["deps"]) <= set(found["assets"])
    assert found["schedules"] == ["batch_daily", "speed_hourly", "sweep_weekly", "wandb_mirror"]
    assert found["first"] == "2026-03-01"
