"""The sweep through `recsys run`, and what the daily model makes of its winner."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment, as_flags, failure

SWEEP = """
name: tiny
method: grid
metric: {name: ndcg@10, goal: maximize}
parameters:
  reg: {values: [0.05, 0.1, 50.0]}
  embedding_size: {value: 7}
  epochs: {value: 2}
"""
STL_SWEEP = """
name: tiny_looks
method: grid
metric: {name: validation_accuracy, goal: maximize}
parameters:
  learning_rate: {values: [0.002, 0.0001]}
  embedding_size: {value: 6}
  epochs: {value: 1}
"""
REFIT = {"refit": "sunday", "max_gap_days": 3}
"""When models are fitted in full is no matter of a sweep."""
INPUTS = ["folds/prequential", "learning/als_sweep"]


@pytest.fixture(scope="module")
def swept(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    home = tmp_path_factory.mktemp("swept") / "home"
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    deployment = Deployment(home)
    files = {"als": home / "als.yaml", "stl": home / "stl.yaml"}
    files["als"].write_text(SWEEP)
    files["stl"].write_text(STL_SWEEP)
    fields = {"dataset/looks.image_size": 16, "learning/als_sweep.n_trials": 3, "learning/stl_sweep.n_trials": 2}
    fields |= {f"learning/{model}_sweep.file": str(file) for model, file in files.items()}
    outcome = deployment.recsys("run", "sweep_weekly", DAY, *as_flags(fields))
    assert outcome.code == 0, outcome.text
    assert "2 made, 6 up to date" in outcome.text
    return deployment


def test_one_row_is_a_trial(swept: Deployment) -> None:
    artifact = swept.artifacts(DAY)["learning/als_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert trials["trial"].tolist() == [0, 1, 2]
    assert trials["state"].tolist() == ["finished"] * 3
    assert trials["reg"].tolist() == [0.05, 0.1, 50.0]
    assert (artifact.path / "sweep.yaml").read_text() == SWEEP
    metrics = artifact.manifest.metrics
    assert metrics["best_ndcg@10"] == trials["ndcg@10"].max()
    assert metrics["best_config"]["reg"] == trials["reg"].iloc[trials["ndcg@10"].argmax()]
    assert metrics["best_config"]["embedding_size"] == 7


def test_the_next_models_take_the_winner(swept: Deployment) -> None:
    best = swept.artifacts(DAY)["learning/als_sweep"].manifest
    assert swept.materialize("models/als").success
    recipe = swept.artifacts(DAY)["models/als"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == INPUTS
    assert recipe.inputs[1].digest == best.digest
    assert recipe.config == {**best.metrics["best_config"], "seed": 0, **REFIT}


def test_the_next_stl_takes_the_winner_on_validation_scenes(swept: Deployment) -> None:
    artifact = swept.artifacts(DAY)["learning/stl_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert trials["learning_rate"].tolist() == [0.002, 0.0001]
    best = artifact.manifest.metrics["best_config"]
    assert best["learning_rate"] == trials["learning_rate"].iloc[trials["validation_accuracy"].argmax()]
    assert swept.materialize("models/stl").success
    recipe = swept.artifacts(DAY)["models/stl"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == ["folds/triplets", "dataset/looks", "learning/stl_sweep"]
    assert recipe.config == {**best, "seed": 0, **REFIT}


def test_a_later_day_takes_the_newest_sweep_before_it(swept: Deployment) -> None:
    keys = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "models/als")
    assert swept.materialize(*keys, day=NEXT_DAY).success
    recipe = swept.artifacts(NEXT_DAY)["models/als"].manifest.recipe
    assert [(ref.key, ref.partition) for ref in recipe.inputs] == list(zip(INPUTS, (NEXT_DAY, DAY), strict=True))


def test_an_earlier_day_never_takes_a_later_sweep(swept: Deployment) -> None:
    keys = ("dataset/snapshot", "folds/prequential", "models/als")
    form = {"embedding_size": 3, "epochs": 1}
    assert swept.materialize(*keys, day="2026-01-11", models__als=form).success
    recipe = swept.artifacts("2026-01-11")["models/als"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == INPUTS[:1]


def test_the_form_can_be_pinned(swept: Deployment) -> None:
    form = {"use_sweep": False, "reg": 0.7, "embedding_size": 3, "epochs": 1}
    assert swept.materialize("models/als", models__als=form).success
    recipe = swept.artifacts(DAY)["models/als"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == INPUTS[:1]
    assert (recipe.config["reg"], recipe.config["embedding_size"]) == (0.7, 3)


def test_a_runs_own_value_goes_over_the_winners_and_each_says_whence_it_is(swept: Deployment) -> None:
    best = swept.artifacts(DAY)["learning/als_sweep"].manifest.metrics["best_config"]
    assert swept.materialize("models/als", models__als={"reg": 0.7}).success
    manifest = swept.artifacts(DAY)["models/als"].manifest
    assert [ref.key for ref in manifest.recipe.inputs] == INPUTS
    assert (manifest.recipe.config["reg"], manifest.recipe.config["epochs"]) == (0.7, best["epochs"])
    assert (manifest.origins["reg"], manifest.origins["gravity"]) == ("this run's form", "default")
    assert manifest.origins["epochs"].endswith(f" of learning/als_sweep@{DAY}")


HALVED = """
name: halved
method: random
metric: {name: ndcg@10, goal: maximize}
early_terminate: {type: hyperband, min_iter: 1, eta: 2}
parameters:
  solver: {value: als}
  reg: {values: [0.05, 0.1, 50.0, 100.0]}
  embedding_size: {value: 7}
  epochs: {value: 3}
"""


def test_bad_trials_stop_early_and_folds_are_averaged(swept: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "halved.yaml"
    file.write_text(HALVED)
    form = {"file": str(file), "n_trials": 6, "trials_at_once": 3, "validation": "cross_validation", "n_folds": 2}
    assert swept.materialize("learning/als_sweep", learning__als_sweep=form).success
    artifact = swept.artifacts(DAY)["learning/als_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert set(trials["state"]) == {"finished", "stopped"}
    assert artifact.manifest.metrics["stopped"] == (trials["state"] == "stopped").sum()
    assert set(trials.loc[trials["state"] == "stopped", "stopped_at"]) <= {1, 2}
    assert trials.loc[trials["state"] == "finished", "stopped_at"].isna().all()
    assert (trials["ndcg@10_min"] <= trials["ndcg@10"]).all()
    assert (trials["ndcg@10"] <= trials["ndcg@10_max"]).all()
    assert list((swept.home / "data" / "checkpoints" / "als_sweep").glob("*")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ["absent.yaml cannot be read", "conf/sweeps/als_ndcg.yaml", "conf/sweeps/als_rmse.yaml"]),
        ("name: [", ["broken.yaml"]),
        (SWEEP.replace("reg:", "regularisation:"), ["broken.yaml", "regularisation"]),
        (SWEEP.replace("0.05", "-1.0"), ["broken.yaml", "reg"]),
    ],
    ids=["missing", "no YAML", "unknown parameter", "out of bounds"],
)
def test_a_bad_sweep_file_is_named(swept: Deployment, tmp_path: Path, text: str | None, said: list[str]) -> None:
    file = tmp_path / ("absent.yaml" if text is None else "broken.yaml")
    if text is not None:
        file.write_text(text)
    before = swept.digests(DAY)
    message = failure(swept.materialize("learning/als_sweep", learning__als_sweep={"file": str(file)}))
    assert message.startswith("learning/als_sweep failed: ")
    assert [part for part in said if part not in message] == [], message
    assert swept.digests(DAY) == before
