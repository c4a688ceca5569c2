"""Sweeps: W&B's own agent, in its own process, is served runs until the sweep ends or is stopped."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import wandb

from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client
from recsys_pipeline_tests.wandb_double.records import Records
from recsys_pipeline_tests.wandb_double.runs import append_stream
from recsys_pipeline_tests.wandb_double.sweeps import beat, create_agent, upsert_sweep

WANDB = Path(sys.executable).with_name("wandb")
GRID = {
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"reg": {"values": [0.1, 0.2]}, "optimiser": {"parameters": {"rate": {"value": 3}}}},
}
RANDOM = {**GRID, "method": "random"}


def run_agent(project: str, sweep: str, count: int, train: Any) -> None:
    from wandb.agents import pyagent

    # The client's own switch for tests: its agent calls every five seconds otherwise.
    with patch.object(pyagent.Agent, "HEARTBEAT_SLEEP_SECONDS", 0.05):
        wandb.agent(sweep, train, project=project, count=count)


def sweep_whole_grid(project: str) -> str:
    def train() -> None:
        with wandb.init(settings=wandb.Settings(silent=True)) as run:
            run.log({"loss": run.config["reg"] * run.config["optimiser"]["rate"]})
            if run.config["reg"] == 0.2:
                raise ValueError("a trial that crashes")

    sweep = wandb.sweep(GRID, project=project)
    run_agent(project, sweep, 2, train)
    found = wandb.Api().sweep(f"{project}/{sweep}")
    assert [run.state for run in found.runs] == ["finished", "failed"]
    assert found.best_run().summary["loss"] == pytest.approx(0.3)
    return sweep


def test_an_agent_runs_the_grid_and_a_crashed_trial_has_failed(
    client: Client, double: WandbDouble, project: str
) -> None:
    name = client.call(sweep_whole_grid, project)
    (sweep,) = double.sweeps(project)
    assert (sweep.name, sweep.config, sweep.agents) == (name, GRID, 1)
    assert sweep.heartbeats > len(sweep.runs)
    runs = {run.name: run for run in double.runs(project)}
    assert [runs[trial].config for trial in sweep.runs] == [
        {"reg": 0.1, "optimiser": {"rate": 3}}, {"reg": 0.2, "optimiser": {"rate": 3}},
    ]  # fmt: skip
    assert [(runs[trial].state, runs[trial].sweep) for trial in sweep.runs] == [("finished", name), ("failed", name)]
    assert runs[sweep.runs[0]].summary["loss"] == pytest.approx(0.3)


def endless() -> None:
    with wandb.init(settings=wandb.Settings(silent=True)) as run:
        for step in range(600):
            run.log({"loss": step})
            time.sleep(0.05)
    raise AssertionError("nobody stopped it")


def sweep_until_stopped(project: str) -> None:
    def train() -> None:
        stop = [WANDB, "sweep", "--stop", f"tester/{project}/{sweep}"]
        subprocess.run(stop, capture_output=True, timeout=30, check=True)
        endless()

    sweep = wandb.sweep(RANDOM, project=project)
    run_agent(project, sweep, 5, train)


def test_a_stopped_sweep_ends_its_agent(client: Client, double: WandbDouble, project: str) -> None:
    client.call(sweep_until_stopped, project)
    (sweep,) = double.sweeps(project)
    assert (sweep.state, len(sweep.runs)) == ("FINISHED", 1)


def sweep_endlessly(project: str) -> None:
    run_agent(project, wandb.sweep(RANDOM, project=project), 1, endless)


def test_a_stopped_run_ends_before_its_time(client: Client, double: WandbDouble, project: str) -> None:
    agent = client.start(sweep_endlessly, project)
    deadline = time.monotonic() + 30
    while not [run for run in double.runs(project) if run.state == "running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    (run,) = double.runs(project)
    double.stop_run(run.name)
    agent.result(timeout=30)
    assert (double.run(run.name).state, double.run(run.name).exit_code) == ("failed", 1)


def sweep_of(project: str, config: dict[str, Any]) -> str:
    return wandb.sweep(config, project=project)


def test_what_is_no_sweep_is_an_error_of_the_client(client: Client, shared_double: WandbDouble, project: str) -> None:
    with pytest.raises(Exception, match="needs a method"):
        client.call(sweep_of, project, {**GRID, "method": "guess"})
    assert shared_double.sweeps(project) == []


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.sqlite")
    yield opened
    opened.close()


def commands(records: Records, config: str, beats: int) -> list[dict[str, Any]]:
    """What an agent is told that has no run alive at any of its heartbeats."""
    upsert_sweep(records, "tester", "p", {"config": config})
    agent = create_agent(records, "tester", "p", "sweep001", "host")
    return [command for _ in range(beats) for command in beat(records, agent["id"], {})]


def test_a_grid_ends_when_all_of_it_was_handed_out(records: Records) -> None:
    told = commands(records, "{method: grid, parameters: {a: {values: [1, 2]}, b: {values: [x, y]}}}", 6)
    assert [command["type"] for command in told] == ["run"] * 4 + ["exit"] * 2
    handed = [tuple(entry["value"] for entry in command["args"].values()) for command in told[:4]]
    assert handed == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_a_cap_ends_a_random_sweep(records: Records) -> None:
    told = commands(records, "{method: random, run_cap: 2, parameters: {a: {min: 0.0, max: 1.0}}}", 3)
    assert [command["type"] for command in told] == ["run", "run", "exit"]


def test_bayes_is_served_at_random(records: Records) -> None:
    config = "{method: bayes, metric: {name: loss}, parameters: {a: {min: 2.0, max: 3.0}}}"
    values = [command["args"]["a"]["value"] for command in commands(records, config, 20)]
    assert len(set(values)) == 20
    assert all(2 <= value <= 3 for value in values)


def test_an_agent_with_a_live_run_gets_no_other(records: Records) -> None:
    (told,) = commands(records, "{method: random, parameters: {a: {value: 1}}}", 1)
    assert beat(records, 1, {told["run_id"]: True}) == []


def test_agents_share_one_grid(records: Records) -> None:
    told = commands(records, "{method: grid, parameters: {a: {values: [1, 2, 3]}}}", 1)
    other = create_agent(records, "tester", "p", "sweep001", "other host")
    for agent in (other["id"], 1, other["id"]):
        told += beat(records, agent, {})
    assert [command.get("args", {}).get("a") for command in told] == [{"value": 1}, {"value": 2}, {"value": 3}, None]


def test_a_run_that_is_beaten_early_is_stopped(records: Records) -> None:
    config = (
        "{method: random, metric: {name: loss, goal: minimize}, parameters: {a: {value: 1}}, "
        "early_terminate: {type: hyperband, min_iter: 2, eta: 2}}"
    )
    good, bad = (command["run_id"] for command in commands(records, config, 2))
    for run, loss in ((good, 1.0), (bad, 2.0)):
        lines = {"offset": 0, "content": [json.dumps({"loss": loss})] * 2}
        append_stream(records, "tester", "p", run, {"files": {"wandb-history.jsonl": lines}})
    assert beat(records, 1, {good: True}) == []
    assert beat(records, 1, {bad: True}) == [{"type": "stop", "run_id": bad}]
