"""`recsys reproduce`: the same digest from the same manifest, and a planted difference is reported."""

import json
import shutil
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, without_checksum
from recsys_pipeline_tests.deployment import DAY, Deployment

SMALL = {"embedding_size": 3, "epochs": 1}


@pytest.fixture
def copied(first_day: Deployment, tmp_path: Path) -> Deployment:
    """A copy of the first day's store, to be spoilt."""
    shutil.copytree(first_day.home / "data" / "store", tmp_path / "home" / "data" / "store")
    return Deployment(tmp_path / "home")


def state(deployment: Deployment) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a deployment's data; scratch and what tells who is at work are left aside."""
    passing = {".staging", ".processes"}
    files = (path for path in (deployment.home / "data").rglob("*") if path.is_file() and not passing & {*path.parts})
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("key", ["dataset/interactions", "dataset/snapshot", "models/als", "reports/ranking"])
def test_the_digest_is_the_same_and_nothing_else_changes(first_day: Deployment, key: str) -> None:
    before, manifest = state(first_day), first_day.artifacts(DAY)[key].manifest
    told = first_day.recsys("reproduce", f"{key}@{DAY}")
    assert told.code == 0, told.text
    assert f"same: {manifest.digest}" in told.text
    assert "warning" not in told.text
    assert told.text.count(" made ") == 1, "that artifact and no other"
    assert state(first_day) == before
    assert list((first_day.store.staging).iterdir()) == []


def test_an_older_version_is_made_from_its_own_older_inputs(copied: Deployment) -> None:
    old = copied.artifacts(DAY)["models/als"].manifest
    made = copied.materialize(
        "folds/prequential", "models/als", folds__prequential={"test_share": 0.2}, models__als=SMALL
    )
    assert made.success
    before = copied.digests(DAY)
    assert before["models/als"] != old.digest
    assert before["folds/prequential"] != old.recipe.inputs[0].digest
    told = copied.recsys("reproduce", old.digest)
    assert told.code == 0, told.text
    assert f"same: {old.digest}" in told.text
    assert copied.digests(DAY) == before


def test_kept_is_what_was_made(copied: Deployment) -> None:
    digest = copied.artifacts(DAY)["models/als"].manifest.digest
    assert copied.recsys("reproduce", "models/als", "--keep").code == 0
    (kept,) = (copied.home / "data" / "reproduced").iterdir()
    (manifest,) = kept.glob(f"store/*/models/als/{DAY}/*/{MANIFEST_NAME}")
    assert json.loads(manifest.read_text())["digest"] == digest


def change_manifest(artifact: Artifact, **recipe: object) -> None:
    path = artifact.path / MANIFEST_NAME
    raw = without_checksum(json.loads(path.read_text()))
    path.write_text(json.dumps({**raw, "recipe": {**raw["recipe"], **recipe}}))


def test_another_config_in_the_manifest_is_a_different_artifact(copied: Deployment) -> None:
    artifact = copied.artifacts(DAY)["models/als"]
    recipe = artifact.manifest.recipe
    change_manifest(artifact, config={**recipe.config, "reg": 7.0, "shoe_size": 46}, code_version="another")
    told = copied.recsys("reproduce", "models/als")
    assert told.code == 1
    assert "warning: the code that shapes models/als has changed: another then" in told.text
    assert "warning: models/als has no field shoe_size any more; it was 46" in told.text
    assert f"different: {artifact.manifest.digest} then" in told.text
    assert "file arrays.safetensors:" in told.text


def test_a_corrupt_byte_of_an_input_is_reported(copied: Deployment) -> None:
    path = copied.artifacts(DAY)["folds/prequential"].path / "train.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1  # among the users and items: values do not matter to this model
    path.write_bytes(content)
    told = copied.recsys("reproduce", "models/als")
    assert told.code == 1
    assert "warning: " in told.text
    assert "train.parquet is missing or corrupt" in told.text


def test_an_input_that_is_gone_makes_it_impossible(copied: Deployment) -> None:
    fold = copied.artifacts(DAY)["folds/prequential"]
    shutil.rmtree(fold.path)
    told = copied.recsys("reproduce", "models/als")
    assert told.code == 1
    assert f"warning: folds/prequential@{DAY}, an input, is gone" in told.text
    assert f"not made: it was made from folds/prequential@{DAY} {fold.manifest.digest[:12]}" in told.text


SWEEP = """
method: grid
metric: {name: ndcg@10, goal: maximize}
parameters:
  reg: {values: [0.1, 50.0]}
  embedding_size: {value: 7}
  epochs: {value: 2}
"""


def test_a_sweep_and_the_model_of_its_winner_without_the_file_or_the_sweep(copied: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    form = {"file": str(file), "n_trials": 2, "baseline": {"reg": 50.0, "embedding_size": 2, "epochs": 1}}
    assert copied.materialize("learning/als_sweep", learning__als_sweep=form).success
    assert copied.materialize("models/als").success
    file.unlink()
    model = copied.recsys("reproduce", "models/als")
    assert model.code == 0, model.text
    sweep = copied.recsys("reproduce", "learning/als_sweep")
    assert sweep.code == 0, sweep.text
    shutil.rmtree(copied.artifacts(DAY)["learning/als_sweep"].path)
    pinned = copied.recsys("reproduce", "models/als")
    assert pinned.code == 0, pinned.text
    assert f"learning/als_sweep@{DAY}, an input, is gone" in pinned.text
