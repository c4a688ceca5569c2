"""Runs a sweep offline: asks a search for trials, runs them alone or many at once, and keeps a record of every one."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.learning.sweeps.search import Search, open_search
from recsys_pipeline.core.learning.sweeps.space import Sweep, parse_sweep
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, Trial, reusable

__all__ = ["Outcome", "Proposal", "Sweep", "SweepResult", "Trial", "parse_sweep", "run_batches", "run_sweep"]

Objective = Callable[[Any, int], Mapping[str, float]]
"""`objective(config, trial_number) -> metrics`, among them the sweep's metric."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    number: int
    params: Mapping[str, Any]
    config: Any


@dataclass(frozen=True)
class Outcome:
    """What came out of a trial: metrics, whether it was stopped early, the sweep's metric at each rung, or an error."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False
    rungs: Mapping[int, float] = field(default_factory=dict)
    error: str = ""


RunTrials = Callable[[Sequence[Proposal], Halving | None], Iterator[Mapping[int, Outcome]]]
"""Runs proposals and yields outcomes by number, those together that ran together. Where there is a `Halving`, it is to
be asked at its rungs; values of what ran together are recorded together."""


@dataclass(frozen=True)
class SweepResult:
    """All trials in order, and the config of the best one."""

    sweep: Sweep
    trials: tuple[Trial, ...]
    best: Trial
    best_config: Any


def run_sweep(
    sweep: Sweep,
    objective: Objective,
    n_trials: int,
    seed: int,
    on_trial: Callable[[Trial], None] | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> SweepResult:
    """Run up to `n_trials` trials, one after the other (fewer where the grid or `run_cap` ends first).

    The same seed draws the same params. Fields that the sweep does not set keep their defaults. A trial that raises,
    or whose metric is missing or not finite, is recorded as failed and the sweep goes on; `ModelError` if none
    finishes. `early_terminate` is not acted on: an objective reports its metrics once, at its end.
    """

    def run(proposals: Sequence[Proposal], _: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        for proposal in proposals:
            yield {proposal.number: outcome_of(lambda one=proposal: objective(one.config, one.number))}

    return run_batches(sweep, run, n_trials, seed, at_once=1, on_trial=on_trial, timer=timer)


def run_batches(
    sweep: Sweep,
    run: RunTrials,
    n_trials: int,
    seed: int,
    at_once: int,
    earlier: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> SweepResult:
    """As `run_sweep`, with `at_once` trials proposed together and run by `run`, and `early_terminate` acted on.

    `earlier` are trials of the same sweep that was interrupted: those that would be tried again, with the same number
    and params, are taken as they are and not run. The result is the same as that of a sweep without interruption.
    """
    limit = min(n_trials, sweep.run_cap or n_trials)
    search = open_search(sweep, seed, at_once)
    halving = Halving(sweep.early_terminate, sweep.goal == "minimize") if sweep.early_terminate else None
    trials: list[Trial] = []
    while len(trials) < limit and (asked := _ask(search, len(trials), min(at_once, limit - len(trials)))):
        done = _taken(asked, earlier, halving)
        for trial in _run(sweep, run, {n: asked[n] for n in asked if n not in done}, halving, timer):
            done[trial.number] = trial
            if on_trial is not None:
                on_trial(trial)
        for number in asked:
            trials.append(done[number])
            search.tell(done[number])
    best = _best(sweep, trials)
    return SweepResult(sweep, tuple(trials), best, _configure(sweep, best.params))


def outcome_of(objective: Callable[[], Mapping[str, float]]) -> Outcome:
    """The metrics that a call returns, or the error that it raises."""
    try:
        return Outcome(dict(objective()))
    except Exception as error:  # noqa: BLE001 - one broken trial must not lose the others; the record keeps the reason
        return Outcome(error=f"{type(error).__name__}: {error}")


def _ask(search: Search, first: int, count: int) -> dict[int, dict[str, Any]]:
    asked: dict[int, dict[str, Any]] = {}
    for number in range(first, first + count):
        if (params := search.ask()) is None:
            break
        asked[number] = params
    return asked


def _taken(asked: Mapping[int, dict[str, Any]], earlier: Sequence[Trial], halving: Halving | None) -> dict[int, Trial]:
    found = {number: reusable(earlier, number, params) for number, params in asked.items()}
    taken = {number: trial for number, trial in found.items() if trial is not None}
    if halving is not None:
        for trial in taken.values():
            for rung, value in trial.rungs.items():
                halving.record(rung, value)
    return taken


def _run(
    sweep: Sweep,
    run: RunTrials,
    asked: Mapping[int, dict[str, Any]],
    halving: Halving | None,
    timer: Callable[[], float],
) -> Iterator[Trial]:
    proposals, start = [], timer()
    for number, params in asked.items():
        try:
            proposals.append(Proposal(number, params, _configure(sweep, params)))
        except Exception as error:  # noqa: BLE001 - as in `outcome_of`: values of a config may exclude one another
            yield _record(sweep, number, params, Outcome(error=f"{type(error).__name__}: {error}"), 0.0)
    for outcomes in run(proposals, halving) if proposals else ():
        end = timer()
        for number, outcome in outcomes.items():
            yield _record(sweep, number, asked[number], outcome, (end - start) / len(outcomes))
        start = end


def _record(sweep: Sweep, number: int, params: Mapping[str, Any], outcome: Outcome, seconds: float) -> Trial:
    value = outcome.metrics.get(sweep.metric)
    error = outcome.error
    if not error and value is None:
        error = f"no metric {sweep.metric!r} among {', '.join(sorted(outcome.metrics)) or 'none'}"
    elif not error and not math.isfinite(value or 0.0):
        error = f"{sweep.metric} is {value}"
    state = FAILED if error else STOPPED if outcome.stopped else FINISHED
    return Trial(number, params, outcome.metrics, state, seconds, error, outcome.rungs)


def _configure(sweep: Sweep, params: Mapping[str, Any]) -> Any:
    return parse_config(sweep.config, params, "parameters")


def _best(sweep: Sweep, trials: list[Trial]) -> Trial:
    finished = [trial for trial in trials if trial.state == FINISHED]
    if not finished:
        reason = trials[0].error if trials else "n_trials is 0"
        raise ModelError(f"no trial of sweep {sweep.name!r} finished; the first: {reason}")
    sign = 1 if sweep.goal == "minimize" else -1
    return min(finished, key=lambda trial: (sign * trial.metrics[sweep.metric], trial.number))
