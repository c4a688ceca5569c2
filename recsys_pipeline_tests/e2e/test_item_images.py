"""Pictures that a catalogue names are seen on the page, found by their looks, and place new items, in the hour too."""

import csv
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.deployment import TINY_MODELS, Deployment, as_flags
from recsys_pipeline_tests.processes import exit_code

DAY, HOUR = "2026-01-04", "2026-01-05-03:00"
TOML = """
name = "posters"
root = "."
[interactions]
path = "events.csv"
header = true
time_unit = "us"
[interactions.columns]
user_id = "user_id"
item_id = "item_id"
event = "event"
value = "value"
timestamp = "at"
[items]
path = "items.csv"
header = true
[items.columns]
item_id = "item_id"
title = "title"
categories = "categories"
image = "image"
created_at = "created_at"
"""
SMALL = {name: value for name, value in TINY_MODELS.items() if "looks" not in name and "/stl" not in name}


def write_shop(root: Path) -> None:
    """Five days of the tiny marketplace as files, with the photo of each item but every tenth."""
    simulator = Simulator(SIZES["tiny"])
    window = Window.of_days(date(2026, 1, 1), date(2026, 1, 5))
    (root / "photos").mkdir(parents=True)
    with (root / "events.csv").open("w") as file:
        out = csv.writer(file)
        out.writerow(["user_id", "item_id", "event", "value", "at"])
        for row in simulator.interactions(window).read_all().to_pylist():
            at = int(row["timestamp"].timestamp() * 1e6)
            out.writerow([row["user_id"], row["item_id"], row["event"], row["value"], at])
    with (root / "items.csv").open("w") as file:
        out = csv.writer(file)
        out.writerow(["item_id", "title", "categories", "image", "created_at"])
        for number, row in enumerate(simulator.items(window.end).to_pylist()):
            name = f"photos/{number}.png"
            if number % 10:
                (root / name).write_bytes(simulator.image(row["image"]))
            created = row["created_at"].isoformat() if row["created_at"] else ""
            out.writerow([row["item_id"], row["title"], "|".join(row["categories"]), name, created])
        out.writerow(["new", "A chair of the hour", "chair", "photos/1.png", "2026-01-05T01:00:00+00:00"])
    (root / "posters.toml").write_text(TOML)


def run_shop(environment: dict[str, str], home: Path) -> None:
    """A batch, an hour and a search over the files, and what they left."""
    os.environ.update(environment)
    deployment = Deployment(home, tuple(environment.items()))
    found: dict[str, Any] = {}
    flags = as_flags({"reports/ranking.n_resamples": 50, **SMALL})
    for name, arguments in (
        ("batch", ("run", "batch_daily", DAY, *flags)),
        ("hour", ("run", "speed_hourly", HOUR)),
    ):
        outcome = deployment.recsys(*arguments)
        found[name] = [outcome.code, outcome.text[-2000:]]
    store = ArtifactStore(str(home / "data" / "store" / "posters"), cache=home / "cache")
    for key in ("dataset/item_images", "neighbors/item_image_vectors", "models/cold_start"):
        found[key] = store.get(key, DAY).manifest.metrics
    found["overlay"] = store.get("speed/overlay", HOUR).manifest.metrics
    found["pictures"] = (store.get("reports/daily", DAY).path / "index.html").read_text().count('<img src="data:image')
    items = pq.read_table(store.get("dataset/items", DAY).path / "items.parquet").to_pylist()
    found["n_items"] = len(items)
    found["asked"] = next(row["item_id"] for row in items if row["categories"] == ["chair"] and row["image"][-5] != "0")
    outcome = deployment.recsys("similar", found["asked"], "--k", "3")
    found["similar"] = [outcome.code, outcome.text]
    (home / "found.json").write_text(json.dumps(found, default=str))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("posters")
    root = home / "shop"
    write_shop(root)
    environment = {
        "RECSYS_SOURCE": "files", "RECSYS_SOURCE_CONFIG": str(root / "posters.toml"), "WANDB_MODE": "disabled",
        "RECSYS_HOURLY_DAYS": "0",
    }  # fmt: skip
    assert exit_code(run_shop, environment, home) == 0
    return json.loads((home / "found.json").read_text())


def test_pictures_that_can_be_read_are_kept_and_the_others_cost_no_release(found: dict) -> None:
    assert found["batch"][0] == 0, found["batch"][1]
    images = found["dataset/item_images"]
    assert (images["images"], images["quarantined"]) == (found["n_items"] - images["quarantined"], 13)
    assert "cannot read image 'photos/0.png'" in images["note"]
    assert found["neighbors/item_image_vectors"]["items"] == images["images"]


def test_new_items_are_placed_by_their_pictures(found: dict) -> None:
    assert found["models/cold_start"]["with_photo"] > 0.8 * found["models/cold_start"]["items"]
    assert found["hour"][0] == 0, found["hour"][1]
    assert (found["overlay"]["new_items"], found["overlay"]["photos_failed"]) == (1, 0)


def test_people_see_the_pictures_and_search_by_them(found: dict) -> None:
    assert found["pictures"] > 50, "samples, neighbours and new items are shown with their pictures"
    code, text = found["similar"]
    assert code == 0
    assert text.startswith(f"Like {found['asked']} ")
    assert text.count("chair") >= 3, "a chair looks like chairs"
