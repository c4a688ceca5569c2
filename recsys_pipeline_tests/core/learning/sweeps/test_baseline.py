"""Trial 0 is what is in use: tried first, outside of the count, and never mistaken for a trial of the search."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.baseline import Comparison, Gain, Units, held_back, of_all_folds
from recsys_pipeline.core.learning.sweeps.forecast import expected_seconds, planned_trials
from recsys_pipeline.core.learning.sweeps.known_points import end_of_space
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.sweep import (
    Limits,
    Outcome,
    Proposal,
    Trial,
    Watch,
    best_of,
    parse_sweep,
    run_batches,
)
from recsys_pipeline.core.learning.sweeps.trials import load_trials, save_trial
from recsys_pipeline.core.models.stl import StlConfig
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import GRID, HEAD, SPACE, Toy, distance, sweep_of

IN_USE = Toy(size=60, reg=0.1, bias=False, target="value")
"""Its size lies outside of every space below."""


class Runner:
    """Judges by distance, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], bool]] = []
        self.configs: dict[int, Any] = {}

    def __call__(self, proposals: Sequence[Proposal], halving: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        self.asked.append(([one.number for one in proposals], halving is not None))
        self.configs |= {one.number: one.config for one in proposals}
        yield {one.number: Outcome(distance(one.config)) for one in proposals}


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_what_is_in_use_is_tried_first_and_counts_besides(method: str) -> None:
    sweep, run = sweep_of(SPACE, method), Runner()
    result = run_batches(sweep, run, 4, seed=0, at_once=3, baseline=IN_USE)
    without = run_batches(sweep, Runner(), 4, seed=0, at_once=3)
    assert run.asked[0] == ([0], False)
    assert [numbers for numbers, _ in run.asked[1:]] == [[1, 2, 3], [4]]
    assert run.configs[0] == IN_USE
    assert result.baseline is result.trials[0]
    assert [trial.is_baseline for trial in result.trials] == [True, False, False, False, False]
    assert [trial.params for trial in result.tried] == [trial.params for trial in without.trials]
    assert result.searched(result.trials[0]) == {"reg": 0.1, "size": 60, "target": "value"}


def test_it_is_never_stopped_early_and_stops_nobody() -> None:
    text = "early_terminate: {type: hyperband, min_iter: 1}\n" + HEAD.format(method="random") + SPACE
    run = Runner()
    run_batches(parse_sweep(text, Toy), run, 2, seed=0, at_once=2, baseline=IN_USE)
    assert [with_halving for _, with_halving in run.asked] == [False, True]


def test_an_interrupted_sweep_keeps_it_and_other_settings_in_use_are_tried(tmp_path: Path) -> None:
    file, sweep = tmp_path / "trials.jsonl", sweep_of(SPACE, "bayes")

    class Kept(Watch):
        def ended(self, trial: Trial) -> None:
            save_trial(file, trial)

    whole = run_batches(sweep, Runner(), 3, 0, 1, watch=Kept(), baseline=IN_USE, timer=lambda: 0.0)
    again = Runner()
    resumed = run_batches(sweep, again, 3, 0, 1, load_trials(file), baseline=IN_USE, timer=lambda: 0.0)
    assert resumed.trials == whole.trials
    assert again.asked == []
    run_batches(sweep, again, 3, 0, 1, load_trials(file), baseline=Toy(), timer=lambda: 0.0)
    assert [numbers for numbers, _ in again.asked] == [[0]]


def test_a_point_of_the_grid_that_is_in_use_is_not_trained_twice() -> None:
    run = Runner()
    result = run_batches(sweep_of(GRID, "grid"), run, 99, 0, 6, baseline=Toy(size=2, bias=True, reg=0.5))
    assert [numbers for numbers, _ in run.asked] == [[0], [1, 2, 4, 5, 6]]
    assert result.trials[3].metrics == result.trials[0].metrics
    assert result.trials[3].seconds == 0
    assert result.trials[3] in result.tried
    assert list(result.trials[3].params) == list(result.sweep.parameters)


def test_what_is_not_searched_stays_as_it_is_in_use() -> None:
    run = Runner()
    result = run_batches(sweep_of(GRID, "grid"), run, 2, 0, 1, baseline=Toy(size=60, target="value"))
    assert {config.target for config in run.configs.values()} == {"value"}
    assert (result.best_config.target, result.config_of(result.trials[1]).target) == ("value", "value")


def test_a_space_is_at_its_end_without_what_is_in_use() -> None:
    sweep = sweep_of("  size: {values: [1, 2]}\n")
    trials = run_batches(sweep, Runner(), 9, 0, 1, baseline=IN_USE).trials
    assert len(trials) == 3
    assert end_of_space(sweep, trials) == "all 2 points of the space were tried"
    assert end_of_space(sweep, trials[:1]) == ""


def test_a_search_of_which_nothing_finishes_is_an_error_all_the_same() -> None:
    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        yield {n.number: Outcome({"loss": 1.0}) if n.number == 0 else Outcome(error="broken") for n in proposals}

    with pytest.raises(ModelError, match="no trial of sweep 'toy' finished; the first: broken"):
        run_batches(sweep_of(SPACE), run, 2, 0, 1, baseline=IN_USE)


def test_the_chosen_settings_are_those_in_use_until_a_comparison_says_otherwise() -> None:
    sweep = sweep_of(SPACE)
    trials = run_batches(sweep, Runner(), 5, 0, 1, baseline=IN_USE).trials
    stays, taken = (best_of(sweep, trials, Comparison(3, None, why)) for why in ("chance", ""))
    assert (stays.chosen.number, stays.chosen_config) == (0, IN_USE)
    assert taken.chosen is taken.best
    assert taken.chosen_config == taken.best_config != IN_USE


def test_settings_that_are_lists_come_back_from_the_file(tmp_path: Path) -> None:
    sweep = parse_sweep(HEAD.format(method="random") + "  reg: {min: 0.1, max: 0.2}\n", StlConfig)
    seen: list[Any] = []

    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        seen.extend(one.config for one in proposals)
        yield {one.number: Outcome({"loss": 1.0}) for one in proposals}

    in_use = StlConfig(widths=(4, 8))
    trials = run_batches(sweep, run, 1, 0, 1, baseline=in_use).trials
    for trial in trials:
        save_trial(tmp_path / "kept", trial)
    assert best_of(sweep, load_trials(tmp_path / "kept")).config_of(trials[0]) == seen[0] == in_use


def test_time_for_the_comparison_is_set_aside() -> None:
    """All trials take a second: of six, one is what is in use, and two are for the comparison."""
    now = [0.0]

    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        now[0] += len(proposals)
        yield {one.number: Outcome(distance(one.config)) for one in proposals}

    limits = Limits(seconds=6.0)
    result = run_batches(sweep_of(SPACE), run, 99, 0, 1, limits=limits, timer=lambda: now[0], baseline=IN_USE)
    assert len(result.tried) == 3


def test_how_long_it_takes_is_foretold_from_what_was_measured() -> None:
    sweep = parse_sweep(
        HEAD.format(method="grid") + "  epochs: {values: [4, 8, 12]}\n  widths: {values: [[4], [8]]}\n", StlConfig
    )
    in_use = Trial(0, {"epochs": 2}, {"loss": 1.0}, "finished", 6.0, is_baseline=True)
    own = Trial(1, {"epochs": 12}, {"loss": 1.0}, "finished", 12.0)
    assert np.isnan(expected_seconds(sweep, [], 5))
    assert expected_seconds(sweep, [in_use], 5) == pytest.approx(5 * 3.0 * 8)
    assert expected_seconds(sweep, [in_use, own], 5) == pytest.approx(5 * 1.0 * 8), "trials of the sweep tell better"
    assert planned_trials(sweep, 99) == 6


def test_half_of_the_users_are_held_back_whole_and_by_the_seed() -> None:
    rng = np.random.default_rng(3)
    users = rng.integers(0, 40, 300)
    away, other = held_back(users, 0), held_back(users, 1)
    assert len(np.unique(users[away])) == len(np.unique(users)) // 2
    assert not np.intersect1d(users[away], users[~away]).size
    assert (away == held_back(users, 0)).all()
    assert (away != other).any()
    assert not held_back(np.array([7, 7]), 0).any()


def test_a_unit_of_several_folds_counts_once() -> None:
    first = Units(np.array([1, 3]), np.array([0.5, 1.0]), np.array([1.0, 2.0]))
    joined = of_all_folds([first, Units(np.array([3, 4]), np.array([2.0, 0.0]), np.array([1.0, 1.0]))])
    assert joined.ids.tolist() == [1, 3, 4]
    assert joined.totals.tolist() == [0.5, 3.0, 0.0]
    assert joined.rows.tolist() == [1.0, 3.0, 1.0]


@pytest.mark.parametrize("gain", [None, Gain(0.1, 0.2, 0.05, 0.15, 0.01, 40, "users")])
def test_a_comparison_is_what_it_was_when_it_is_read(gain: Gain | None) -> None:
    comparison = Comparison(4, gain, "too few" if gain is None else "")
    assert Comparison.of(comparison.document()) == comparison
