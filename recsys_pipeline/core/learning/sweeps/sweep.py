"""Runs a sweep: asks a search for trials, runs them alone or many at once, and keeps a record of every one."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.baseline import BASELINE, Comparison
from recsys_pipeline.core.learning.sweeps.forecast import epochs_of
from recsys_pipeline.core.learning.sweeps.known_points import KnownPoints
from recsys_pipeline.core.learning.sweeps.protocol import UNLIMITED, Limits, Outcome, Proposal, RunTrials, Watch
from recsys_pipeline.core.learning.sweeps.search import Asked, Search, open_search
from recsys_pipeline.core.learning.sweeps.space import Sweep, parse_sweep
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, Trial, reusable

__all__ = [
    "Limits", "Outcome", "Proposal", "Sweep", "SweepResult", "Trial", "Watch", "best_of", "parse_sweep", "run_batches",
    "run_sweep", "try_batches",
]  # fmt: skip

COMPARISON_FITS = 2
"""Fits that the comparison at the end takes, each about as long as the settings in use took."""

Objective = Callable[[Any, int], Mapping[str, float]]
"""`objective(config, trial_number) -> metrics`, among them the sweep's metric."""


@dataclass(frozen=True)
class SweepResult:
    """All trials in order, and the best of them, by what steered the search.

    Where the settings in use are among them, as trial 0, `comparison` says whether the best takes their place.
    """

    sweep: Sweep
    trials: tuple[Trial, ...]
    best: Trial
    best_config: Any
    comparison: Comparison | None = None

    @property
    def baseline(self) -> Trial | None:
        """The trial that is the settings in use; None of a sweep without."""
        return next((trial for trial in self.trials if trial.is_baseline), None)

    @property
    def tried(self) -> list[Trial]:
        """The trials of the search itself."""
        return [trial for trial in self.trials if not trial.is_baseline]

    @property
    def chosen(self) -> Trial:
        """The trial whose settings are to be used: the best, or the one in use where that is not clearly worse."""
        kept = self.baseline if self.comparison and not self.comparison.is_taken else None
        return kept or self.best

    @property
    def chosen_config(self) -> Any:
        """The settings of `chosen`."""
        return self.config_of(self.chosen)

    def searched(self, trial: Trial) -> dict[str, Any]:
        """What a trial has of the fields that the sweep searches."""
        return {name: trial.params[name] for name in self.sweep.parameters}

    def config_of(self, trial: Trial) -> Any:
        """The settings of a trial, those that the sweep does not search included."""
        return self.sweep.configure(trial.params)


def run_sweep(
    sweep: Sweep,
    objective: Objective,
    n_trials: int,
    seed: int,
    watch: Watch | None = None,
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

    return run_batches(sweep, run, n_trials, seed, at_once=1, watch=watch, timer=timer)


def run_batches(
    sweep: Sweep,
    run: RunTrials,
    n_trials: int,
    seed: int,
    at_once: int,
    earlier: Sequence[Trial] = (),
    watch: Watch | None = None,
    limits: Limits = UNLIMITED,
    search: Search | None = None,
    timer: Callable[[], float] = time.perf_counter,
    baseline: Any = None,
) -> SweepResult:
    """As `run_sweep`, with `at_once` trials proposed together and run by `run`, and `early_terminate` acted on.

    `earlier` are trials of the same sweep that was interrupted: those that would be tried again, with the same number
    and params, are taken as they are and not run. The result is the same as that of a sweep without interruption.
    A `search` that does not repeat itself goes on after them; a point that it proposes again gets the same result.
    `baseline` is the config in use: it is tried first, as trial 0, whether or not it lies in the space, and counts
    besides `n_trials`. What the sweep does not search has its values in every trial.
    Raises `ModelError` where no trial finishes, and after the first trial where the sweep's metric is none of those
    that it has.
    """
    sweep = _over(sweep, baseline)
    trials = try_batches(sweep, run, n_trials, seed, at_once, earlier, watch, limits, search, timer, baseline)
    return best_of(sweep, trials)


def try_batches(
    sweep: Sweep,
    run: RunTrials,
    n_trials: int,
    seed: int,
    at_once: int,
    earlier: Sequence[Trial] = (),
    watch: Watch | None = None,
    limits: Limits = UNLIMITED,
    search: Search | None = None,
    timer: Callable[[], float] = time.perf_counter,
    baseline: Any = None,
) -> list[Trial]:
    """The trials of `run_batches`, whether any finished or not: one process's share of a sweep."""
    sweep = _over(sweep, baseline)
    search = search or open_search(sweep, seed, at_once)
    watch, begin = watch or Watch(), timer()
    halving = Halving(sweep.early_terminate, sweep.minimise) if sweep.early_terminate else None
    trials = [] if baseline is None else [_try_baseline(sweep, run, baseline, earlier, watch, timer)]
    trials += [] if search.repeats else [trial for trial in earlier if not trial.is_baseline]
    _record_rungs(halving, trials)
    limit, known = min(n_trials, sweep.run_cap or n_trials), KnownPoints(sweep, trials)
    limit, pace = limit + (baseline is not None), 0.0
    while len(trials) < limit and not _is_over(sweep, trials, limits, started := timer() - begin, pace):
        asked = _ask(search, len(trials), min(at_once, limit - len(trials)))
        if not asked:
            break
        done = _taken(asked, earlier if search.repeats else (), halving)
        while waiting := {number: one for number, one in asked.items() if number not in done}:
            if again := known.again(waiting):
                done |= {trial.number: trial for trial in again}
                for trial in again:
                    watch.ended(trial)
                continue
            for trial in _run(sweep, run, known.first_of_each(waiting), halving, watch, timer):
                done[trial.number] = trial
                known.add(trial)
                watch.ended(trial)
                if not any(sweep.metric in one.metrics for one in [*trials, *done.values()]):
                    _check_logged(sweep, trial)
        for number in asked:
            trials.append(done[number])
            search.tell(done[number])
        pace = max(pace, timer() - begin - started)
    return trials


def best_of(sweep: Sweep, trials: Sequence[Trial], comparison: Comparison | None = None) -> SweepResult:
    """The result of these trials; raises `ModelError` where none of the search finished."""
    best = _best(sweep, trials)
    return SweepResult(sweep, tuple(trials), best, sweep.configure(best.params), comparison)


def _over(sweep: Sweep, baseline: Any) -> Sweep:
    """The sweep whose trials differ from what is in use by nothing but what it searches."""
    return sweep if baseline is None else replace(sweep, base=dataclasses.asdict(baseline))


def _try_baseline(
    sweep: Sweep, run: RunTrials, config: Any, earlier: Sequence[Trial], watch: Watch, timer: Callable[[], float]
) -> Trial:
    """The settings in use, which are never stopped early."""
    params = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}
    if (known := reusable(earlier, BASELINE, params)) is not None:
        return known
    (found,) = _run(sweep, run, {BASELINE: Asked(params)}, None, watch, timer)
    trial = replace(found, is_baseline=True)
    watch.ended(trial)
    return trial


def _is_over(sweep: Sweep, trials: Sequence[Trial], limits: Limits, seconds: float, pace: float) -> bool:
    """Whether no trial starts any more; `pace` is how long the next ones are expected to take."""
    tried = [trial for trial in trials if not trial.is_baseline]
    comparison = COMPARISON_FITS * sum(trial.seconds for trial in trials if trial.is_baseline)
    is_late = seconds >= limits.seconds or (tried and seconds + pace + comparison > limits.seconds)
    if is_late or sum(epochs_of(sweep, trial) for trial in tried) >= limits.epochs:
        return True
    finished = [trial for trial in tried if trial.state == FINISHED]
    return any(sweep.reaches_target(trial.metrics[sweep.metric]) for trial in finished)


def _check_logged(sweep: Sweep, trial: Trial) -> None:
    if trial.metrics:
        raise ModelError(
            f"sweep {sweep.name!r}: metric {sweep.metric!r} was never logged; trial {trial.number} logged "
            f"{', '.join(sorted(trial.metrics))}: set metric.name to one of them"
        )


def outcome_of(objective: Callable[[], Mapping[str, float]]) -> Outcome:
    """The metrics that a call returns, or the error that it raises."""
    try:
        return Outcome(dict(objective()))
    except Exception as error:  # noqa: BLE001 - one broken trial must not lose the others; the record keeps the reason
        return Outcome(error=f"{type(error).__name__}: {error}")


def _ask(search: Search, first: int, count: int) -> dict[int, Asked]:
    asked: dict[int, Asked] = {}
    for number in range(first, first + count):
        if (one := search.ask()) is None:
            break
        asked[number] = one
    return asked


def _taken(asked: Mapping[int, Asked], earlier: Sequence[Trial], halving: Halving | None) -> dict[int, Trial]:
    found = {number: reusable(earlier, number, one.params) for number, one in asked.items()}
    taken = {number: trial for number, trial in found.items() if trial is not None}
    _record_rungs(halving, list(taken.values()))
    return taken


def _record_rungs(halving: Halving | None, trials: Sequence[Trial]) -> None:
    if halving is None:
        return
    for trial in trials:
        for rung, value in trial.rungs.items():
            halving.record(rung, value)


def _run(
    sweep: Sweep,
    run: RunTrials,
    asked: Mapping[int, Asked],
    halving: Halving | None,
    watch: Watch,
    timer: Callable[[], float],
) -> Iterator[Trial]:
    proposals, start = [], timer()
    for number, one in asked.items():
        try:
            proposals.append(_proposal(sweep, number, one, watch))
        except Exception as error:  # noqa: BLE001 - as in `outcome_of`: values of a config may exclude one another
            yield _record(sweep, number, one, Outcome(error=f"{type(error).__name__}: {error}"), 0.0)
    for proposal in proposals:
        watch.started(proposal)
    for outcomes in run(proposals, halving) if proposals else ():
        end = timer()
        for number, outcome in outcomes.items():
            yield _record(sweep, number, asked[number], outcome, (end - start) / len(outcomes))
        start = end


def _proposal(sweep: Sweep, number: int, asked: Asked, watch: Watch) -> Proposal:
    silent = Proposal(number, asked.params, sweep.configure(asked.params), asked.run_id)
    return replace(silent, report=lambda metrics: watch.step(silent, metrics))


def _record(sweep: Sweep, number: int, asked: Asked, outcome: Outcome, seconds: float) -> Trial:
    value = outcome.metrics.get(sweep.metric)
    error = outcome.error
    if not error and value is None:
        error = f"no metric {sweep.metric!r} among {', '.join(sorted(outcome.metrics)) or 'none'}"
    elif not error and not math.isfinite(value or 0.0):
        error = f"{sweep.metric} is {value}"
    state = FAILED if error else STOPPED if outcome.stopped else FINISHED
    return Trial(number, asked.params, outcome.metrics, state, seconds, error, outcome.rungs, asked.run_id)


def _best(sweep: Sweep, trials: Sequence[Trial]) -> Trial:
    tried = [trial for trial in trials if not trial.is_baseline]
    finished = [trial for trial in trials if trial.state == FINISHED]
    if not any(trial.state == FINISHED for trial in tried):
        reason = tried[0].error or f"was {tried[0].state}" if tried else "none was tried"
        raise ModelError(f"no trial of sweep {sweep.name!r} finished; the first: {reason}")
    sign = 1 if sweep.minimise else -1
    return min(finished, key=lambda trial: (sign * trial.metrics[sweep.metric], trial.number))
