"""What is said to differ between two makings, and between a recipe and today."""

import dataclasses
import math

from recsys_pipeline.adapters.lineage.manifest_differences import changes_since, differences
from recsys_pipeline.adapters.store.manifest import Manifest, Recipe
from recsys_pipeline.core.keys import ArtifactRef

DAY = "2026-01-05"
LIBRARIES = {"jax": "0.10.2", "optax": "0.2.8"}
TODAY = ("new", LIBRARIES)
RECIPE = Recipe("dataset/items", DAY, (), {"source": "then"}, "new", LIBRARIES)


def test_nothing_is_said_where_nothing_changed() -> None:
    assert list(changes_since(RECIPE, *TODAY, lambda *_: "then")) == []
    manifest = Manifest(RECIPE, "d" * 64, {}, {"value": math.nan})
    again = dataclasses.replace(manifest, metrics={"value": float("nan")}, seconds=9.0, created_at="later", run_id="x")
    assert list(differences(manifest, again)) == []


def test_code_libraries_and_source_are_named() -> None:
    libraries = {name: number for name, number in LIBRARIES.items() if name != "optax"}
    recipe = dataclasses.replace(RECIPE, code_version="old", libraries=libraries | {"jax": "0.1", "gone": "3"})
    said = "\n".join(changes_since(recipe, *TODAY, lambda window, _: f"now {window.start.date()}"))
    assert "the code that shapes dataset/items has changed: old then, new now" in said
    assert "jax was 0.1 then, and is 0.10.2 now" in said
    assert "gone was 3 then, and is not recorded now" in said
    assert "optax was absent then" in said
    assert "the source has changed" in said
    assert len(said.splitlines()) == 5


def test_a_recipe_that_never_read_the_source_says_nothing_of_it() -> None:
    recipe = dataclasses.replace(RECIPE, config={})
    assert list(changes_since(recipe, *TODAY, lambda *_: "now")) == []


def test_inputs_config_files_and_metrics_that_differ_are_named() -> None:
    one, two = (ArtifactRef("folds/x", DAY, digit * 64) for digit in "ab")
    files = {"a": {"bytes": 1000, "sha256": "1"}, "b": {"bytes": 1, "sha256": "2"}, "same": {"bytes": 1, "sha256": "3"}}
    before = Manifest(Recipe("models/als", DAY, (one,), {"reg": 0.1, "k": 1}, "v", {}), "d", files, {"rows": 3})
    others = {"a": {"bytes": 1200, "sha256": "4"}, "c": {"bytes": 1, "sha256": "2"}, "same": files["same"]}
    now = Manifest(Recipe("models/als", DAY, (two,), {"reg": 0.2, "k": 1}, "v", {}), "e", others, {"rows": 4})
    assert list(differences(before, now)) == [
        f"input folds/x@{DAY} aaaaaaaaaaaa: only then",
        f"input folds/x@{DAY} bbbbbbbbbbbb: only now",
        "config reg: 0.1 then, 0.2 now",
        "file a: 1,000 bytes then, 1,200 now, of different content",
        "file b: only then",
        "file c: only now",
        "metric rows: 3 then, 4 now",
    ]
