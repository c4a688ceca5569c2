"""Sweeps through the commands: offline, at a W&B server, shared by two processes, interrupted, and refused."""

import functools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest

from recsys_pipeline.adapters.store.manifest import without_checksum
from recsys_pipeline.adapters.wandb.server import WandbServer
from recsys_pipeline.adapters.wandb.sweep_agents import WandbAgents
from recsys_pipeline.adapters.wandb.sweeps import WandbSweep
from recsys_pipeline_tests.deployment import DAY, Deployment
from recsys_pipeline_tests.wandb_double.double import WandbDouble

SWEEP = """
name: tiny
method: grid
metric: {name: ndcg@10, goal: maximize}
parameters:
  solver: {value: als}
  reg: {values: [0.05, 0.1, 0.4, 50.0]}
  embedding_size: {value: 7}
  epochs: {value: 2}
"""
KEY = "learning/als_sweep"


@pytest.fixture(scope="module")
def stored(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the first day and a sweep file, to be copied."""
    home = tmp_path_factory.mktemp("sweeps")
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    (home / "tiny.yaml").write_text(SWEEP)
    return home


def deployed(stored: Path, home: Path, **environment: str) -> Deployment:
    shutil.copytree(stored, home, ignore=shutil.ignore_patterns("wandb"))  # a W&B client may still be at work there
    return Deployment(home, tuple(environment.items()))


def swept(deployment: Deployment) -> tuple[dict[str, object], pd.DataFrame]:
    artifact = deployment.artifacts(DAY)[KEY]
    return artifact.manifest.metrics, pd.read_parquet(artifact.path / "trials.parquet")


def test_offline_with_a_method_a_count_a_page_and_local_runs(stored: Path, tmp_path: Path) -> None:
    deployment = deployed(stored, tmp_path / "home", WANDB_MODE="offline")
    file = str(deployment.home / "tiny.yaml")
    outcome = deployment.recsys("sweep", "run", file, "--day", DAY, "--count", "3", "--method", "random")
    assert outcome.code == 0, outcome.text
    metrics, trials = swept(deployment)
    assert (metrics["engine"], metrics["trials"]) == ("offline", 3)
    assert "tiny: 3 trials, 3 finished" in outcome.text
    page = deployment.home / "data" / "reports" / "simulator-tiny" / f"{DAY}-als_sweep.html"
    assert str(page) in outcome.text.replace(" ", "")
    assert "Sweep tiny" in page.read_text()
    assert set(deployment.artifacts(DAY)) >= {KEY}
    assert "learning/stl_sweep" not in deployment.artifacts(DAY)
    again = deployment.recsys("sweep", "run", file, "--day", DAY, "--count", "3", "--method", "random")
    assert "up to date" in again.text
    assert trials["trial"].tolist() == [0, 1, 2, 3]
    shown = {run["name"]: run for run in local_runs(deployment.home / "data" / "wandb", 4)}
    assert sorted(shown) == [f"als_sweep@{DAY}-{number}" for number in range(4)]
    for number, row in trials.iterrows():
        run = shown[f"als_sweep@{DAY}-{number}"]
        assert (run["state"], run["tags"], run["config"]["sweep"]) == ("finished", ["trial"], f"als_sweep@{DAY}")
        assert run["config"]["reg"] == pytest.approx(row["reg"])
        assert run["summary"]["ndcg@10"] == pytest.approx(row["ndcg@10"])


def local_runs(folder: Path, n_trials: int) -> list[dict[str, Any]]:
    """What `wandb leet` shows of the trials in a folder, once the process that plays them there has come so far."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        found = [leet_summary(path) for path in folder.glob("wandb/offline-run-*")]
        trials = [run for run in found if run.get("tags") == ["trial"] and run["state"] == "finished"]
        if len(trials) == n_trials:
            return trials
        time.sleep(0.5)
    pytest.fail(f"{len(trials)} of {n_trials} trials are finished below {folder}")


def leet_summary(run: Path) -> dict[str, Any]:
    """A run as the terminal UI has it; empty while it is half written."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--summary", "--json", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "wandb"], "learning/als_sweep.engine: wandb needs WANDB_API_KEY"),
        (["--model", "stl"], "for stl, tiny.yaml: parameters.solver.value: StlConfig has no field 'solver'"),
        (["--method", "bayes", "--max-minutes", "-1"], "max_minutes"),
    ],
)
def test_what_cannot_run_says_why(stored: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    deployment = deployed(stored, tmp_path / "home", WANDB_MODE="disabled")
    outcome = deployment.recsys("sweep", "run", str(deployment.home / "tiny.yaml"), "--day", DAY, *arguments)
    assert outcome.code == 1
    assert said in outcome.text


def test_a_server_that_is_away_leaves_the_sweep_to_optuna(stored: Path, tmp_path: Path) -> None:
    away = {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_MODE": "online"}
    deployment = deployed(stored, tmp_path / "home", **away)
    with mock.patch("recsys_pipeline.adapters.wandb.tracker.is_online", return_value=False):
        outcome = deployment.recsys("sweep", "run", str(deployment.home / "tiny.yaml"), "--day", DAY, "--count", "2")
    assert outcome.code == 0, outcome.text
    assert swept(deployment)[0]["engine"] == "offline"
    assert "does not answer" in outcome.text


def test_a_server_proposes_and_every_run_knows_its_sweep(stored: Path, tmp_path: Path) -> None:
    with WandbDouble(tmp_path / "server") as double:
        deployment = deployed(stored, tmp_path / "home", **double.environment())
        file = str(deployment.home / "tiny.yaml")
        outcome = deployment.recsys("sweep", "run", file, "--day", DAY, "--count", "4", "--parallel", "2")
        assert outcome.code == 0, outcome.text
        (sweep,) = double.sweeps()
        assert sweep.state == "FINISHED"
        metrics, trials = swept(deployment)
        assert metrics["engine"] == "wandb"
        assert metrics["wandb_sweep"] == f"{double.url}/tester/recsys_pipeline/sweeps/{sweep.name}"
        assert sorted(trials["reg"][1:]) == [0.05, 0.1, 0.4, 50.0]
        assert metrics["taken_trial"] == 0, "trial 0 is what is in use, and no run of the server's sweep"
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            runs = [run for run in double.runs() if run.sweep == sweep.name and run.state == "finished"]
            if len(runs) == 4:
                break
            time.sleep(0.2)
        assert sorted(run.config["reg"] for run in runs) == [0.05, 0.1, 0.4, 50.0]
        best = max(runs, key=lambda run: run.summary["ndcg@10"])
        assert best.summary["ndcg@10"] == pytest.approx(trials["ndcg@10"][1:].max())
        assert best.config["data"].keys() == {f"folds/prequential@{DAY}", f"dataset/snapshot@{DAY}"}
        assert best.config["sweep"] == sweep.name


@pytest.fixture
def untracked(stored: Path, tmp_path: Path) -> tuple[Deployment, WandbDouble]:
    """Sweeps at a server, while the outbox keeps the runs to itself: what is tested here is the protocol."""
    double = WandbDouble(tmp_path / "server")
    return deployed(stored, tmp_path / "home", **double.environment()), double


def test_an_interrupted_sweep_goes_on_at_the_server(untracked: tuple[Deployment, WandbDouble]) -> None:
    deployment, double = untracked
    command = ["sweep", "run", str(deployment.home / "tiny.yaml"), "--day", DAY, "--parallel", "1"]
    hasty = functools.partial(WandbAgents, patience_s=0.2, heartbeat_s=0.05, others_s=0.2)
    with (
        double,
        mock.patch("recsys_pipeline.adapters.wandb.tracker.is_online", return_value=False),
        mock.patch("recsys_pipeline.defs.learning.engines.WandbAgents", hasty),
    ):
        double.fail("Heartbeat", status=503, times=None, skip=2)
        outcome = deployment.recsys(*command)
        assert outcome.code == 1
        assert "its finished trials are kept: run it again to go on" in outcome.text
        double.heal()
        again = deployment.recsys(*command)
        assert again.code == 0, again.text
        assert len(double.sweeps()) == 1
    metrics, trials = swept(deployment)
    assert (metrics["trials"], sorted(trials["reg"][1:])) == (4, [0.05, 0.1, 0.4, 50.0])
    assert list((deployment.home / "data" / "checkpoints" / "als_sweep").glob("*")) == []


def test_an_agent_joins_and_its_trials_count(untracked: tuple[Deployment, WandbDouble], tmp_path: Path) -> None:
    deployment, double = untracked
    hasty = functools.partial(WandbAgents, heartbeat_s=0.05, others_s=0.2)
    with (
        double,
        mock.patch("recsys_pipeline.adapters.wandb.tracker.is_online", return_value=False),
        mock.patch("recsys_pipeline.defs.learning.engines.WandbAgents", hasty),
        mock.patch("recsys_pipeline.commands.sweep.WandbAgents", hasty),
    ):
        file = str(deployment.home / "tiny.yaml")
        assert deployment.recsys("sweep", "run", file, "--day", DAY, "--count", "1", "--parallel", "1").code == 0
        double._records.change("update sweeps set state = 'RUNNING', config = replace(config, 'run_cap: 1', '')")
        (sweep,) = double.sweeps()
        outcome = deployment.recsys("sweep", "agent", sweep.name, "--count", "2", "--parallel", "2")
        assert outcome.code == 0, outcome.text
        assert "2 trials, 2 finished" in outcome.text
        assert sum(run.sweep == sweep.name for run in double.runs()) == 3
        stranger = deployed(deployment.home, tmp_path / "other", **double.environment())
        manifest = stranger.artifacts(DAY)["folds/prequential"].path / "manifest.json"
        manifest.write_text(json.dumps({**without_checksum(json.loads(manifest.read_text())), "digest": "0" * 64}))
        refused = stranger.recsys("sweep", "agent", sweep.name)
        assert refused.code == 1
        assert "folds/prequential@2026-01-12 is 000000000000 here and" in refused.text
        with deployment.active():
            other = WandbSweep.create(WandbServer(double.url, double.key), "recsys_pipeline", {
                "method": "random", "parameters": {"reg": {"value": 1.0}},
            })  # fmt: skip
        assert "does not say what to train" in deployment.recsys("sweep", "agent", other.name).text
