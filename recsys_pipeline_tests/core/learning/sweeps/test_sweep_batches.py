"""Sweeps in batches: early termination, trials that are kept, and a sweep that was interrupted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.learning.sweeps.importance import importance
from recsys_pipeline.core.learning.sweeps.successive_halving import EarlyTermination, Halving, parse_early_termination
from recsys_pipeline.core.learning.sweeps.sweep import (
    Limits,
    Outcome,
    Proposal,
    Sweep,
    Watch,
    parse_sweep,
    run_batches,
    run_sweep,
)
from recsys_pipeline.core.learning.sweeps.trials import STOPPED, Trial, load_trials, save_trial
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import HEAD, SPACE, Heard, Toy, distance


def toy_sweep(method: str) -> Sweep:
    head = f"name: toy\nmethod: {method}\nmetric: {{name: loss, goal: minimize}}\n"
    return parse_sweep(head + "early_terminate: {type: hyperband, min_iter: 2}\nparameters:\n" + SPACE, Toy)


@pytest.mark.parametrize(
    ("rule", "rungs"),
    [
        (EarlyTermination(eta=3.0, min_iter=2), [2, 6, 18]),
        (EarlyTermination(eta=2.0, min_iter=20), []),
        (EarlyTermination(eta=3.0, max_iter=27, s=2), [3, 9]),
        (EarlyTermination(eta=1.1, min_iter=15), [15, 16, 18]),
    ],
)
def test_rungs_are_wandbs_brackets_below_the_last_epoch(rule: EarlyTermination, rungs: list[int]) -> None:
    assert rule.rungs(20) == rungs


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30), eta=st.floats(1.5, 5), minimise=st.booleans())
def test_the_best_share_goes_on(values: list[float], eta: float, minimise: bool) -> None:
    halving = Halving(EarlyTermination(eta, min_iter=1), minimise)
    for value in [*values, math.nan]:
        halving.record(1, value)
    kept = [value for value in values if halving.goes_on(1, value)]
    assert not halving.goes_on(1, math.nan)
    assert len(kept) >= math.ceil(len(values) / eta)
    left = sorted(values, reverse=not minimise)[len(kept) :]
    assert all(value not in kept for value in left)
    assert len(set(values)) < len(values) or len(kept) == math.ceil(len(values) / eta)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "must be a mapping"),
        ({"type": "median"}, "type must be hyperband"),
        ({"type": "hyperband"}, "needs either min_iter, or max_iter and s"),
        ({"type": "hyperband", "min_iter": 1, "max_iter": 9, "s": 2}, "needs either"),
        ({"type": "hyperband", "max_iter": 9}, "needs either"),
        ({"type": "hyperband", "min_iter": 0}, "min_iter must be a whole number"),
        ({"type": "hyperband", "min_iter": 1, "eta": 1}, "eta must be a number above 1"),
        ({"type": "hyperband", "min_iter": 1, "rungs": 3}, "'rungs' is not in W&B's"),
    ],
)
def test_a_bad_rule_names_the_field(body: Any, message: str) -> None:
    with pytest.raises(SettingError, match=f"toy.yaml: early_terminate.*{message}"):
        parse_early_termination(body, "toy.yaml: early_terminate")


class Runner:
    """Trials in pairs that stop at rung 2 where they are bad."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def __call__(self, proposals: Sequence[Proposal], halving: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        assert halving is not None
        for pair in [proposals[at : at + 2] for at in range(0, len(proposals), 2)]:
            losses = {one.number: distance(one.config)["loss"] for one in pair}
            self.ran += losses
            for loss in losses.values():
                halving.record(2, loss)
            yield {n: Outcome({"loss": x}, not halving.goes_on(2, x), {2: x}) for n, x in losses.items()}


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_an_interrupted_sweep_ends_as_if_it_had_not_been(method: str, tmp_path: Path) -> None:
    sweep, file = toy_sweep(method), tmp_path / "trials.jsonl"
    whole = run_batches(sweep, Runner(), 12, seed=1, at_once=4, timer=lambda: 0.0)
    assert {trial.state for trial in whole.trials} == {"finished", "stopped"}

    class Interrupted(Watch):
        def ended(self, trial: Trial) -> None:
            save_trial(file, trial)
            if trial.number == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batches(sweep, Runner(), 12, seed=1, at_once=4, watch=Interrupted(), timer=lambda: 0.0)
    again, heard = Runner(), Heard()
    kept = load_trials(file)
    resumed = run_batches(sweep, again, 12, 1, 4, kept, heard, timer=lambda: 0.0)
    assert resumed.trials == whole.trials
    assert again.ran == [6, 7, 8, 9, 10, 11]
    assert [trial.number for trial in heard.trials] == again.ran


def test_trials_of_other_settings_are_run_again() -> None:
    sweep, again = toy_sweep("random"), Runner()
    other = run_batches(sweep, Runner(), 4, seed=2, at_once=4).trials
    run_batches(sweep, again, 4, seed=1, at_once=4, earlier=other)
    assert again.ran == [0, 1, 2, 3]


def test_a_line_that_was_cut_short_is_left_out_at_the_end_only(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    assert load_trials(file) == []
    trial = Trial(3, {"reg": 0.1, "bias": True}, {"loss": math.inf}, STOPPED, 0.5, "", {2: 0.25, 6: 0.125})
    save_trial(file, trial)
    whole = file.read_text()
    file.write_text(whole + whole[:20])
    assert load_trials(file) == [trial]
    file.write_text(whole[:20] + "\n" + whole)
    with pytest.raises(ArtifactError, match="line 1 is no trial"):
        load_trials(file)


def test_importance_finds_what_decides() -> None:
    rows = [{"reg": 10.0 ** -(i % 7), "bias": i % 2 == 0, "size": (i * 5) % 11, "fixed": 1} for i in range(40)]
    for minimise in (True, False):
        sign = 1 if minimise else -1
        found = importance(rows, [sign * abs(row["size"] - 8.0) for row in rows], minimise)
        assert next(iter(found)) == "size"
        assert set(found) == {"reg", "bias", "size"}
        assert sum(found.values()) == pytest.approx(1)
    assert importance(rows[:7], [1.0] * 7, minimise=True) == {}
    rounded = [1.0 + 1e-9 * at for at in range(len(rows))]
    assert importance(rows, rounded, minimise=True) == {}, "what differs by rounding ties"
    assert importance([{"fixed": 1}] * 20, [1.0] * 20, minimise=True) == {}


@pytest.mark.parametrize(
    ("limits", "n_trials"),
    [
        (Limits(seconds=2.5), 2),
        (Limits(seconds=3.0), 3),
        (Limits(seconds=0.5), 1),
        (Limits(epochs=4.0), 4),
        (Limits(seconds=2.5, epochs=1.0), 1),
        (Limits(), 12),
    ],
)
def test_time_and_budget_end_a_sweep_between_trials(limits: Limits, n_trials: int) -> None:
    """Each trial of one epoch takes a second: none starts that would end too late, but for the first."""
    now = [0.0]

    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        now[0] += len(proposals)
        yield {one.number: Outcome(distance(one.config)) for one in proposals}

    text = HEAD.format(method="random") + SPACE
    result = run_batches(parse_sweep(text, Toy), run, 12, 0, 1, limits=limits, timer=lambda: now[0])
    assert len(result.trials) == n_trials


def test_a_sweep_without_time_for_one_trial_says_so() -> None:
    with pytest.raises(ModelError, match="no trial of sweep 'toy' finished; the first: none was tried"):
        run_batches(toy_sweep("random"), Runner(), 4, 0, 1, limits=Limits(seconds=0.0))


def test_the_target_ends_a_sweep() -> None:
    text = HEAD.format(method="grid").replace("name: loss", "target: 3, name: loss") + "  size: {values: [9, 3, 1]}\n"
    result = run_sweep(parse_sweep(text, Toy), lambda config, _: {"loss": float(config.size)}, 9, seed=0)
    assert [trial.params["size"] for trial in result.trials] == [9, 3]


def test_a_metric_that_is_never_logged_ends_the_sweep_after_its_first_trial() -> None:
    tried: list[int] = []

    def objective(_: Toy, number: int) -> dict[str, float]:
        tried.append(number)
        return {"rmse": 1.0, "auc": 0.5}

    with pytest.raises(ModelError, match=r"'loss' was never logged; trial 0 logged auc, rmse: set metric.name"):
        run_sweep(parse_sweep(HEAD.format(method="random") + SPACE, Toy), objective, 9, seed=0)
    assert tried == [0]


def test_a_watch_hears_of_starts_steps_and_ends_and_may_stop_a_trial() -> None:
    heard = Heard()
    steps: list[tuple[int, float]] = []

    def step(proposal: Proposal, metrics: Mapping[str, float]) -> bool:
        steps.append((proposal.number, metrics["epoch"]))
        return proposal.number == 0

    heard.step = step

    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        for one in proposals:
            goes_on = [one.report({"epoch": epoch, "loss": 1.0}) for epoch in (1, 2)]
            yield {one.number: Outcome({"loss": 1.0}, stopped=not goes_on[0])}

    run_batches(parse_sweep(HEAD.format(method="random") + SPACE, Toy), run, 2, 0, at_once=2, watch=heard)
    assert heard.told == [(0, "started"), (1, "started"), (0, "finished"), (1, "stopped")]
    assert steps == [(0, 1), (0, 2), (1, 1), (1, 2)]
