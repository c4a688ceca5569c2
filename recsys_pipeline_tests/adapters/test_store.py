"""The store: atomic versions, reuse by recipe, corruption named, remote stores alike."""

import json
import os
from pathlib import Path

import pytest

from recsys_pipeline.adapters.manifest import Manifest, Recipe
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.types import ArtifactRef


def recipe(partition: str = "2026-01-01", **config: object) -> Recipe:
    return Recipe("models/als", partition, (ArtifactRef("folds/x", partition, "d" * 64),), config, "v1", {"numpy": "2"})


def write(text: str):
    def build(directory: Path) -> Built:
        (directory / "part").mkdir()
        (directory / "part" / "data.txt").write_text(text)
        return Built({"rows": len(text)})

    return build


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


def test_what_is_built_can_be_read_back(store: ArtifactStore, tmp_path: Path) -> None:
    built = store.build(recipe(reg=0.1), write("hello"))
    fresh_reader = store if store.is_local else ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "other")
    read = fresh_reader.get("models/als", "2026-01-01")
    assert (read.path / "part" / "data.txt").read_text() == "hello"
    assert read.manifest == built.manifest
    assert read.manifest.recipe.inputs[0].key == "folds/x"
    read.verify()


def test_equal_content_has_an_equal_digest_whatever_the_recipe(store: ArtifactStore) -> None:
    one = store.build(recipe(reg=0.1), write("same"))
    two = store.build(recipe(reg=0.2), write("same"))
    assert one.manifest.digest == two.manifest.digest
    assert one.path != two.path
    assert one.path.exists()


def test_only_the_same_recipe_is_reusable(store: ArtifactStore) -> None:
    store.build(recipe(reg=0.1), write("x"))
    found = store.reusable(recipe(reg=0.1))
    assert found is not None
    assert found.reused
    assert store.reusable(recipe(reg=0.2)) is None
    assert store.reusable(recipe("2026-01-02", reg=0.1)) is None


def test_a_failed_build_changes_nothing(store: ArtifactStore) -> None:
    store.build(recipe(reg=0.1), write("good"))

    def fail(directory: Path) -> Built:
        (directory / "half.txt").write_text("half")
        raise ValueError("disk on fire")

    with pytest.raises(ValueError, match="fire"):
        store.build(recipe(reg=0.2), fail)
    assert (store.get("models/als", "2026-01-01").path / "part" / "data.txt").read_text() == "good"
    assert not list(store.staging.iterdir())


def test_folders_of_dead_processes_are_swept_and_live_ones_kept(store: ArtifactStore) -> None:
    store.staging.mkdir(parents=True)
    dead = store.staging / "999999999-abc"
    mine = store.staging / f"{os.getpid()}-abc"
    dead.mkdir()
    mine.mkdir()
    with store.staged():
        pass
    assert not dead.exists()
    assert mine.exists()


def test_partitions_and_latest(store: ArtifactStore) -> None:
    assert store.partitions("models/als") == []
    assert store.latest("models/als", before="2026-01-05") is None
    for day in ("2026-01-03", "2026-01-01"):
        store.build(recipe(day), write(day))
    assert store.partitions("models/als") == ["2026-01-01", "2026-01-03"]
    latest = store.latest("models/als", before="2026-01-03")
    assert latest is not None
    assert latest.manifest.recipe.partition == "2026-01-01"


def test_a_missing_artifact_says_what_to_do(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match="models/als has no artifact for 2026-01-01: materialize"):
        store.get("models/als", "2026-01-01")


def test_a_corrupt_byte_is_found_and_named_and_rebuilding_mends_it(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    artifact = store.build(recipe(), write("precious"))
    (artifact.path / "part" / "data.txt").write_text("preciouS")
    with pytest.raises(ArtifactError, match=r"data\.txt is missing or corrupt"):
        artifact.verify()
    mended = store.build(recipe(), write("precious"))
    assert mended.path == artifact.path
    mended.verify()


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json is no manifest"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_manifest_is_plain_sorted_json(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    artifact: Artifact = store.build(recipe(reg=0.5), write("x"), run_id="run-1")
    raw = json.loads((artifact.path / "manifest.json").read_text())
    assert raw["recipe"]["config"] == {"reg": 0.5}
    assert raw["run_id"] == "run-1"
    assert raw["files"]["part/data.txt"]["bytes"] == 1
