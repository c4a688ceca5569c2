"""No point is tried twice while others are left, and a space that was tried ends the sweep."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.search import Asked
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Sweep, Trial, parse_sweep, run_batches, run_sweep
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import HEAD, REG, Heard, Toy, distance, sweep_of

TWELVE = "  size: {values: [2, 4]}\n  reg: {values: [0.1, 0.5, 1.0]}\n  bias: {values: [true, false]}\n"
SPACES = {
    "lists": (TWELVE, 12),
    "steps": ("  size: {min: 3, max: 5}\n  reg: {distribution: q_uniform, min: 0.5, max: 2.0, q: 0.5}\n", 12),
    "steps of a logarithm": (
        "  reg: {distribution: q_log_uniform_values, min: 10, max: 40, q: 10}\n  bias: {values: [true, false]}\n", 8,
    ),
    "steps of a normal": ("  size: {distribution: q_normal, mu: 30, sigma: 1, q: 5}\n", None),
    "weights": ("  size: {values: [1, 2, 3], probabilities: [0.998, 0.002, 0.0]}\n  bias: {value: true}\n", 2),
    "the same number twice": ("  size: {values: [4, 4.0, 8]}\n  reg: {values: [0.1, 0.10, 1, 1.0]}\n", 4),
    "one": ("  reg: {value: 0.5}\n", 1),
}  # fmt: skip


def points(sweep: Sweep, trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [sweep.point(trial.params) for trial in trials]


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("at_once", [1, 5])
def test_every_point_is_tried_once_and_then_the_sweep_ends(method: str, space: str, at_once: int) -> None:
    text, size = SPACES[space]
    sweep = sweep_of(text, method)
    trials = run_batches(sweep, all_at_once, n_trials=40, seed=0, at_once=at_once).trials
    tried = points(sweep, trials)
    assert len(set(tried)) == len(tried)
    if size is not None:
        assert len(tried) == sweep.size == size
    fewer = run_batches(sweep, all_at_once, n_trials=2, seed=0, at_once=at_once).trials
    assert [trial.params for trial in fewer] == [trial.params for trial in trials[:2]]


def all_at_once(proposals: Any, _: Any) -> Any:
    yield {one.number: Outcome(distance(one.config)) for one in proposals}


def test_equal_values_of_a_grid_are_one() -> None:
    sweep = sweep_of("  size: {values: [4, 4, 8]}\n  reg: {values: [0.1, 0.10, 1]}\n", "grid")
    trials = run_sweep(sweep, distance, 40, seed=0).trials
    assert points(sweep, trials) == list(itertools.product((4, 8), (0.1, 1.0)))
    assert sweep.size == 4


def test_equal_values_keep_the_weight_of_both() -> None:
    sweep = sweep_of("  size: {values: [1, 2, 1.0], probabilities: [0.3, 0.4, 0.3]}\n")
    assert sweep.parameters["size"].possible == ((1, 0.6), (2, 0.4))


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_continuous_space_has_no_end(method: str) -> None:
    sweep = sweep_of(TWELVE.replace("{values: [0.1, 0.5, 1.0]}", "{min: 0.1, max: 1.0}"), method)
    assert sweep.size == float("inf")
    assert len(set(points(sweep, run_sweep(sweep, distance, 30, seed=0).trials))) == 30


def test_a_large_space_of_steps_is_searched_without_listing_it() -> None:
    sweep = sweep_of("  reg: {distribution: q_uniform, min: 1, max: 1.0e+9, q: 1}\n  size: {value: 4}\n", "bayes")
    assert len(run_sweep(sweep, distance, 5, seed=0).trials) == 5


class Server:
    """A search that proposes as it likes, points that were tried included, as a server's does."""

    repeats = False

    def __init__(self, *proposals: dict[str, Any]) -> None:
        self._proposals = [Asked(params, f"run-{at}") for at, params in enumerate(proposals)]
        self.told: list[Trial] = []

    def ask(self) -> Asked | None:
        return self._proposals.pop(0) if self._proposals else None

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)


@pytest.mark.parametrize("at_once", [1, 2, 6])
def test_what_a_server_proposes_again_is_not_trained_again(at_once: int) -> None:
    fitted: list[int] = []

    def run(proposals: Any, halving: Any) -> Any:
        fitted.extend(one.number for one in proposals)
        return all_at_once(proposals, halving)

    sweep, heard = sweep_of(REG, "bayes"), Heard()
    server = Server(*({"reg": reg} for reg in (0.5, 0.25, 0.5, 0.5, 0.1)))
    trials = run_batches(sweep, run, 9, 0, at_once, watch=heard, search=server).trials
    assert fitted == [0, 1, 4]
    assert [trial.metrics["loss"] for trial in trials] == [distance(Toy(reg=t.params["reg"]))["loss"] for t in trials]
    assert [trial.run_id for trial in trials] == [f"run-{number}" for number in range(5)]
    assert [trial.seconds for trial in trials[2:4]] == [0.0, 0.0]
    assert sorted(heard.trials, key=lambda trial: trial.number) == server.told == list(trials)


def test_a_failure_is_tried_again() -> None:
    """A server's second proposal may meet a better moment."""
    calls: list[int] = []

    def run(proposals: Any, _: Any) -> Any:
        calls.extend(one.number for one in proposals)
        yield {one.number: Outcome(error="gone") if one.number == 0 else Outcome({"loss": 1.0}) for one in proposals}

    trials = run_batches(sweep_of(REG), run, 9, 0, 1, search=Server({"reg": 0.5}, {"reg": 0.5})).trials
    assert calls == [0, 1]
    assert [trial.state for trial in trials] == ["failed", "finished"]


def test_values_that_yaml_reads_as_text_are_told_how_to_be_written() -> None:
    for body in ("{values: [1e-3, 0.1]}", "{value: 1e-3}", "{values: [1E5]}"):
        with pytest.raises(SettingError, match=r"parameters\.reg\.values? must be of type float, got .*write 1\.0e-3"):
            parse_sweep(HEAD.format(method="grid") + f"  reg: {body}\n", Toy, "toy.yaml")
    with pytest.raises(SettingError, match=r"got 'small'$"):
        parse_sweep(HEAD.format(method="grid") + "  reg: {values: [small]}\n", Toy, "toy.yaml")
