"""Runs a sweep offline: draws configs by grid, at random or by Bayesian search, and keeps a record of every trial."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.learning.sweep_space import Parameter, Sweep, parse_sweep

__all__ = ["Sweep", "SweepResult", "Trial", "parse_sweep", "run_sweep"]

Objective = Callable[[Any, int], Mapping[str, float]]
"""`objective(config, trial_number) -> metrics`, among them the sweep's metric."""


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried, what came out, whether it `finished` or `failed` and why, and how long it took."""

    number: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    state: str
    seconds: float
    error: str = ""


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
    """Run up to `n_trials` trials (fewer where the grid or `run_cap` ends first); the same seed draws the same params.

    Fields that the sweep does not set keep their defaults. A trial that raises, or whose metric is missing or not
    finite, is recorded as failed and the sweep goes on; `ModelError` if none finishes.
    """
    limit = min(n_trials, sweep.run_cap or n_trials)
    trials: list[Trial] = []
    proposals = SEARCHES[sweep.method](sweep, trials, seed)
    for number, params in enumerate(itertools.islice(proposals, limit)):
        trials.append(_run_trial(sweep, objective, number, params, timer))
        if on_trial is not None:
            on_trial(trials[-1])
    best = _best(sweep, trials)
    return SweepResult(sweep, tuple(trials), best, _configure(sweep, best.params))


def _run_trial(
    sweep: Sweep, objective: Objective, number: int, params: dict[str, Any], timer: Callable[[], float]
) -> Trial:
    start = timer()
    try:
        metrics = dict(objective(_configure(sweep, params), number))
    except Exception as error:  # noqa: BLE001 - one broken trial must not lose the others; the record keeps the reason
        return Trial(number, params, {}, "failed", timer() - start, f"{type(error).__name__}: {error}")
    value = metrics.get(sweep.metric, math.nan)
    error = (
        ""
        if math.isfinite(value)
        else f"{sweep.metric} is {value}"
        if sweep.metric in metrics
        else _missing(sweep, metrics)
    )
    return Trial(number, params, metrics, "failed" if error else "finished", timer() - start, error)


def _missing(sweep: Sweep, metrics: Mapping[str, float]) -> str:
    return f"no metric {sweep.metric!r} among {', '.join(sorted(metrics)) or 'none'}"


def _configure(sweep: Sweep, params: Mapping[str, Any]) -> Any:
    return parse_config(sweep.config, params, "parameters")


def _best(sweep: Sweep, trials: list[Trial]) -> Trial:
    finished = [trial for trial in trials if trial.state == "finished"]
    if not finished:
        reason = trials[0].error if trials else "n_trials is 0"
        raise ModelError(f"no trial of sweep {sweep.name!r} finished; the first: {reason}")
    sign = 1 if sweep.goal == "minimize" else -1
    return min(finished, key=lambda trial: (sign * trial.metrics[sweep.metric], trial.number))


def _grid(sweep: Sweep, trials: list[Trial], seed: int) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - as the others
    names = list(sweep.parameters)
    for values in itertools.product(*(sweep.parameters[name].choices for name in names)):
        yield dict(zip(names, values, strict=True))


def _random(sweep: Sweep, trials: list[Trial], seed: int) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - as the others
    generator = np.random.default_rng(seed)
    while True:
        yield {name: _draw(parameter, float(generator.random())) for name, parameter in sweep.parameters.items()}


def _draw(parameter: Parameter, share: float) -> Any:
    if parameter.quantile is not None:
        return parameter.quantile(share)
    weights = parameter.probabilities or (1 / len(parameter.choices),) * len(parameter.choices)
    index = int(np.searchsorted(np.cumsum(weights), share, side="right"))
    return parameter.choices[min(index, len(parameter.choices) - 1)]


def _bayes(sweep: Sweep, trials: list[Trial], seed: int) -> Iterator[dict[str, Any]]:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) over the quantiles of the parameters."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=sweep.goal, sampler=optuna.samplers.TPESampler(seed=seed))
    while True:
        asked = study.ask()
        yield {name: _suggest(asked, name, parameter) for name, parameter in sweep.parameters.items()}
        if trials[-1].state == "finished":
            study.tell(asked, trials[-1].metrics[sweep.metric])
        else:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)


def _suggest(asked: optuna.Trial, name: str, parameter: Parameter) -> Any:
    if parameter.quantile is not None:
        return parameter.quantile(asked.suggest_float(name, 0.0, 1.0))
    # Indices, because Optuna accepts only scalars as choices.
    return parameter.choices[asked.suggest_categorical(name, range(len(parameter.choices)))]


SEARCHES = {"grid": _grid, "random": _random, "bayes": _bayes}
