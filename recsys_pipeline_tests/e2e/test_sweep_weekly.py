"""The sweep through `recsys run`, and what the daily model makes of its winner."""

import json
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
WEAK = {"reg": 50.0, "embedding_size": 2, "epochs": 1}
"""Settings than which the sweep's are better beyond chance, on the few users of the tiny marketplace."""
TINY_TOWERS = {"embedding_size": 6, "epochs": 1, "learning_rate": 0.001}
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
    fields |= {"learning/als_sweep.baseline": WEAK, "learning/stl_sweep.baseline": TINY_TOWERS}
    outcome = deployment.recsys("run", "sweep_weekly", DAY, *as_flags(fields))
    assert outcome.code == 0, outcome.text
    assert "2 made, 6 up to date" in outcome.text
    return deployment


def test_one_row_is_a_trial(swept: Deployment) -> None:
    artifact = swept.artifacts(DAY)["learning/als_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert trials["trial"].tolist() == [0, 1, 2, 3]
    assert trials["state"].tolist() == ["finished"] * 4
    assert trials["reg"].tolist() == [50.0, 0.05, 0.1, 50.0]
    assert trials["embedding_size"].tolist() == [2, 7, 7, 7]
    assert (artifact.path / "sweep.yaml").read_text() == SWEEP
    metrics = artifact.manifest.metrics
    assert metrics["best_ndcg@10"] == trials["ndcg@10"].max()
    assert metrics["best_config"]["reg"] == trials["reg"].iloc[trials["ndcg@10"].argmax()]
    assert metrics["best_config"]["embedding_size"] == 7
    assert metrics["taken_trial"] == trials["ndcg@10"].argmax()
    assert (metrics["trials"], metrics["in_use"]["origin"]) == (3, "the field `baseline`")
    assert metrics["found"].keys() == {"reg", "embedding_size", "epochs"}
    compared = json.loads((artifact.path / "comparison.json").read_text())
    assert compared["gain"]["p_value"] < 0.05
    assert metrics["verdict"].startswith(f"Trial {metrics['taken_trial']} takes the place of the settings in use: on")


def test_the_next_models_take_the_winner(swept: Deployment) -> None:
    best = swept.artifacts(DAY)["learning/als_sweep"].manifest
    assert swept.materialize("models/als").success
    recipe = swept.artifacts(DAY)["models/als"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == INPUTS
    assert recipe.inputs[1].digest == best.digest
    assert recipe.config == {**best.metrics["best_config"], "seed": 0, **REFIT}


def test_the_next_stl_keeps_its_form_where_its_sweep_found_nothing_better(swept: Deployment) -> None:
    """Too few scenes are held back to tell anything from chance."""
    artifact = swept.artifacts(DAY)["learning/stl_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert trials["learning_rate"].tolist() == [0.001, 0.002, 0.0001]
    metrics = artifact.manifest.metrics
    assert (metrics["taken_trial"], metrics["best_config"]["learning_rate"], metrics["found"]) == (0, 0.001, {})
    assert metrics["verdict"].startswith("The settings in use stay: ")
    assert "Verdict" in (artifact.path / "sweep.html").read_text()
    assert swept.materialize("models/stl", models__stl={"embedding_size": 5, "epochs": 1, "widths": [4, 8]}).success
    recipe = swept.artifacts(DAY)["models/stl"].manifest.recipe
    assert [ref.key for ref in recipe.inputs] == ["folds/triplets", "dataset/looks"]
    assert recipe.config["embedding_size"] == 5


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
    found = swept.artifacts(DAY)["learning/als_sweep"].manifest.metrics
    assert swept.materialize("learning/als_sweep", learning__als_sweep=form).success
    artifact = swept.artifacts(DAY)["learning/als_sweep"]
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    assert set(trials["state"]) == {"finished", "stopped"}
    assert artifact.manifest.metrics["stopped"] == (trials["state"] == "stopped").sum()
    assert artifact.manifest.metrics["in_use"]["origin"] == f"trial {found['taken_trial']} of learning/als_sweep@{DAY}"
    assert artifact.manifest.recipe.config["baseline"] == found["best_config"]
    assert (trials["state"][0], trials["reg"][0]) == ("finished", found["best_config"]["reg"])
    assert set(trials.loc[trials["state"] == "stopped", "stopped_at"]) <= {1, 2}
    assert trials.loc[trials["state"] == "finished", "stopped_at"].isna().all()
    assert (trials["ndcg@10_min"] <= trials["ndcg@10"]).all()
    assert (trials["ndcg@10"] <= trials["ndcg@10_max"]).all()
    assert list((swept.home / "data" / "checkpoints" / "als_sweep").glob("*")) == []


def test_the_same_sweep_again_is_up_to_date_and_compared_with_what_it_was(swept: Deployment, tmp_path: Path) -> None:
    """And not with its own winner; another one of the day is compared with that."""
    file = tmp_path / "again.yaml"
    file.write_text(SWEEP)
    form = {"file": str(file), "n_trials": 2}
    before = swept.artifacts(DAY)["learning/als_sweep"].manifest
    assert swept.materialize("learning/als_sweep", learning__als_sweep=form).success
    made = swept.artifacts(DAY)["learning/als_sweep"].manifest
    assert made.recipe.config["baseline"] == before.metrics["best_config"]
    assert swept.materialize("learning/als_sweep", learning__als_sweep=form).success
    assert swept.artifacts(DAY)["learning/als_sweep"].manifest.created_at == made.created_at
    assert swept.artifacts(DAY)["learning/als_sweep"].manifest.digest == made.digest


EASE = """
name: tiny_ease
method: grid
metric: {name: ndcg@10, goal: maximize}
parameters: {reg: {values: [10.0, 100.0]}}
"""


def test_a_model_that_is_fitted_on_request_is_swept_by_the_command(swept: Deployment, tmp_path: Path) -> None:
    """One by one, as none of its trials can be trained together."""
    file = tmp_path / "ease_tiny.yaml"
    file.write_text(EASE)
    outcome = swept.recsys("sweep", "run", str(file), "--day", DAY, "--max-minutes", "5")
    assert outcome.code == 0, outcome.text
    assert "tiny_ease: 2 trials, 2 finished" in outcome.text
    assert "for 2 trials" in outcome.text, "how long it takes is said after trial 0"
    artifact = swept.artifacts(DAY)["learning/ease_sweep"]
    assert pd.read_parquet(artifact.path / "trials.parquet")["reg"].tolist() == [500.0, 10.0, 100.0]
    assert artifact.manifest.metrics["verdict"] in outcome.text.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ["absent.yaml cannot be read", "conf/sweeps/als_ndcg.yaml", "conf/sweeps/als_rmse.yaml"]),
        ("name: [", ["broken.yaml"]),
        (SWEEP.replace("reg:", "regularisation:"), ["broken.yaml", "regularisation"]),
        (SWEEP.replace("0.05", "-1.0"), ["broken.yaml", "reg"]),
        (SWEEP.replace("ndcg@10", "coverage"), ["broken.yaml", "metric.name must be one of ndcg@10, recall@10, rmse"]),
    ],
    ids=["missing", "no YAML", "unknown parameter", "out of bounds", "no metric of users"],
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
