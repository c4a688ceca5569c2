"""A sweep at a W&B server, as the engine sees it: handed out, trained together, interrupted, away."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.adapters.wandb.server import KeyRefusedError, WandbServer
from recsys_pipeline.adapters.wandb.sweep_agents import WandbAgents
from recsys_pipeline.adapters.wandb.sweeps import WandbSweep
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.learning.sweeps.space import Sweep, parse_sweep
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Proposal, run_batches, try_batches
from recsys_pipeline.core.learning.sweeps.trials import Trial
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import HEAD, Heard, Toy, distance
from recsys_pipeline_tests.wandb_double.double import WandbDouble

GROUPED = (
    "  size: {values: [1, 2, 3]}\n"
    "  biases: {parameters: {bias: {values: [true, false]}, deeper: {parameters: {reg: {value: 0.5}}}}}\n"
)
FAST = {"heartbeat_s": 0.02, "patience_s": 0.3}


def toy(method: str = "grid", parameters: str = GROUPED) -> Sweep:
    return parse_sweep(HEAD.format(method=method) + parameters, Toy, "toy.yaml")


@pytest.fixture
def double(tmp_path: Path) -> Iterator[WandbDouble]:
    with WandbDouble(tmp_path) as started:
        yield started


def server_of(double: WandbDouble) -> WandbServer:
    return WandbServer(double.url, double.key)


class Trainer:
    """Trains a batch at once and keeps what ran together."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self._seconds = seconds

    def __call__(self, proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        self.batches.append([one.run_id for one in proposals])
        time.sleep(self._seconds)
        yield {one.number: Outcome(distance(one.config)) for one in proposals}


def test_a_grid_is_handed_out_once_and_trained_together(double: WandbDouble) -> None:
    sweep, trainer, heard = toy(), Trainer(), Heard()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    with WandbAgents(sweep, at_server, **FAST) as agents:
        result = run_batches(sweep, trainer, 99, 0, at_once=4, watch=heard, search=agents)
    tried = [(trial.params["size"], trial.params["bias"], trial.params["reg"]) for trial in result.trials]
    assert tried == [(size, bias, 0.5) for size in (1, 2, 3) for bias in (True, False)]
    assert [len(batch) for batch in trainer.batches] == [4, 2]
    assert result.best_config == Toy(size=3, bias=True, reg=0.5)
    assert [trial.run_id for trial in result.trials] == [run for batch in trainer.batches for run in batch]
    assert {run.run_id: run.params["size"] for run in at_server.runs()} == {
        trial.run_id: trial.params["size"] for trial in result.trials
    }
    assert double.unanswered() == []
    assert WandbSweep.join(server_of(double), "toys", at_server.name).is_over


def test_heartbeats_never_take_a_trial_away(double: WandbDouble) -> None:
    """Found once: a heartbeat for an agent that had just become idle was answered with a trial, which was lost."""
    sweep = toy()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    begun, freed = threading.Event(), threading.Event()

    class Slow(WandbSweep):
        def beat(self, agent: str, running: str = "") -> list[dict[str, Any]]:
            if threading.current_thread().name == "sweep heartbeats" and not freed.is_set():
                begun.set()
                freed.wait(5)
            return super().beat(agent, running)

    with WandbAgents(sweep, Slow(**vars(at_server)), **FAST) as agents:
        asked = agents.ask()
        assert asked is not None
        assert begun.wait(5)
        agents.tell(Trial(0, asked.params, {"loss": 1.0}, "finished", 0.0, run_id=asked.run_id))
        freed.set()
        time.sleep(0.1)
        assert sum(agents.ask() is not None for _ in range(6)) == 5


def test_two_processes_share_a_sweep(double: WandbDouble) -> None:
    sweep = toy()
    first = WandbSweep.create(server_of(double), "toys", sweep.definition)
    second = WandbSweep.join(server_of(double), "other", first.path)
    assert second.path == first.path
    with WandbAgents(sweep, first, **FAST) as one, WandbAgents(sweep, second, **FAST) as other:
        asked = [agents.ask() for agents in (one, other, one, other, one, other, one, other)]
    assert len({found.run_id for found in asked if found}) == 6
    assert asked[-2:] == [None, None]


def test_a_sweep_goes_on_after_trials_that_are_known(double: WandbDouble) -> None:
    sweep = toy()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    with WandbAgents(sweep, at_server, **FAST) as agents:
        kept = run_batches(sweep, Trainer(), 2, 0, at_once=2, search=agents).trials
    with WandbAgents(sweep, WandbSweep.join(server_of(double), "toys", at_server.name), **FAST) as agents:
        trials = run_batches(sweep, Trainer(), 99, 0, at_once=2, search=agents, earlier=kept).trials
    assert trials[:2] == kept
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4, 5]
    assert len({trial.run_id for trial in trials}) == 6


def test_a_run_that_somebody_stops_is_heard_of_while_it_trains(double: WandbDouble) -> None:
    sweep = toy()
    with WandbAgents(sweep, WandbSweep.create(server_of(double), "toys", sweep.definition), **FAST) as agents:
        asked, other = agents.ask(), agents.ask()
        assert asked is not None
        assert other is not None
        double.stop_run(asked.run_id)
        give_up = time.monotonic() + 5
        while not agents.is_stopped(asked.run_id) and time.monotonic() < give_up:
            time.sleep(0.01)
        assert agents.is_stopped(asked.run_id)
        assert not agents.is_stopped(other.run_id)


def test_a_server_that_stumbles_is_waited_for_and_one_that_is_away_ends_the_sweep(double: WandbDouble) -> None:
    sweep = toy()
    with WandbAgents(sweep, WandbSweep.create(server_of(double), "toys", sweep.definition), **FAST) as agents:
        double.fail("Heartbeat", status=500, times=2)
        double.drop("CreateAgent", times=1)
        assert agents.ask() is not None
        double.fail("Heartbeat", status=503, times=None)
        with pytest.raises(ModelError, match=r"tester/toys/sweep001: .*503.*run it again to go on"):
            agents.ask()


def test_a_paused_sweep_is_waited_for_until_the_deadline(double: WandbDouble) -> None:
    sweep = toy()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    double._records.change("update sweeps set state = 'PAUSED'")
    with WandbAgents(sweep, at_server, heartbeat_s=0.02, deadline_s=0.1) as agents:
        assert agents.ask() is None


@pytest.mark.parametrize(
    ("path", "said"), [("absent", "no sweep tester/toys/absent"), ("a/b/c/d", "is no sweep"), ("a/b/", "is no sweep")]
)
def test_a_sweep_that_is_not_there_is_named(double: WandbDouble, path: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        WandbSweep.join(server_of(double), "toys", path)


def test_a_wrong_key_is_said_at_once_and_not_shown(double: WandbDouble) -> None:
    wrong = replace(server_of(double), key="x" * 40)
    with pytest.raises(KeyRefusedError, match="WANDB_API_KEY") as caught:
        WandbSweep.create(wrong, "toys", toy().definition)
    assert "xxx" not in str(caught.value)


def test_finishing_ends_it_for_every_agent(double: WandbDouble) -> None:
    sweep: Any = toy("random", "  size: {min: 1, max: 9}\n")
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    with WandbAgents(sweep, at_server, **FAST) as agents:
        assert agents.ask() is not None
        at_server.finish()
        assert agents.ask() is None
    assert [found.state for found in double.sweeps()] == ["FINISHED"]


def told_by_another(double: WandbDouble, run_id: str, state: str, **summary: float) -> None:
    """What the run of another process has sent."""
    change = "update runs set state = ?, summary = ? where name = ?"
    double._records.change(change, state, json.dumps({**summary, "_step": 3}), run_id)


def test_trials_of_other_processes_are_read_from_the_server(double: WandbDouble) -> None:
    sweep = toy()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    with WandbAgents(sweep, at_server, **FAST) as there:
        asked = [found for found in (there.ask() for _ in range(5)) if found]
    runs = [found.run_id for found in asked]
    told_by_another(double, runs[0], "finished", loss=0.5, epoch=2, trial_seconds=1.5)
    told_by_another(double, runs[1], "finished", loss=0.9, stopped_at=2)
    told_by_another(double, runs[2], "failed")
    told_by_another(double, runs[3], "running", loss=0.1)
    with WandbAgents(sweep, at_server, **FAST, others_s=0.2) as agents:
        own = try_batches(sweep, Trainer(), 9, 0, at_once=1, search=agents)
        trials = [*own, *agents.others(own)]
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.state for trial in trials] == ["finished", "finished", "stopped", "failed", "failed"]
    assert trials[1].metrics == {"loss": 0.5}
    assert (trials[1].seconds, trials[2].rungs) == (1.5, {2: 0.9})
    assert [dict(trial.params) for trial in trials[1:]] == [found.params for found in asked[:4]]
    assert trials[3].error == f"run {runs[2]} failed in another process"


def test_a_run_that_was_handed_out_and_never_heard_of_is_left_out(double: WandbDouble) -> None:
    sweep = toy()
    at_server = WandbSweep.create(server_of(double), "toys", sweep.definition)
    with WandbAgents(sweep, at_server, **FAST, others_s=0.1) as agents:
        assert agents.ask() is not None
        assert agents.others([]) == []
