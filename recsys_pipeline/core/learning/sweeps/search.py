"""How a sweep proposes params: over a grid, at random, or by Bayesian search; or as somebody else's server says."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import optuna

from recsys_pipeline.core.learning.sweeps.distributions import Parameter
from recsys_pipeline.core.learning.sweeps.space import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, STOPPED, Trial


@dataclass(frozen=True)
class Asked:
    """Params to try, and the name of the tracked run that waits for them, where a server gave one."""

    params: dict[str, Any]
    run_id: str = ""


@runtime_checkable
class Search(Protocol):
    """Proposes trials in order and learns from what came out."""

    repeats: bool
    """Whether a new search with the same seed and answers proposes the same trials again. A server's does not: it goes
    on where it was."""

    def ask(self) -> Asked | None:
        """The next trial; None where there are no more."""
        ...

    def tell(self, trial: Trial) -> None:
        """What came out of a trial that was asked for."""
        ...


class _Listed:
    """Proposals that depend on no result."""

    repeats = True

    def __init__(self, proposals: Iterator[dict[str, Any]]) -> None:
        self._proposals = proposals

    def ask(self) -> Asked | None:
        params = next(self._proposals, None)
        return None if params is None else Asked(params)

    def tell(self, trial: Trial) -> None:
        """Forget it."""


def _grid(sweep: Sweep) -> Iterator[dict[str, Any]]:
    names = list(sweep.parameters)
    for values in itertools.product(*(sweep.parameters[name].choices for name in names)):
        yield dict(zip(names, values, strict=True))


def _random(sweep: Sweep, seed: int) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    while True:
        yield {name: _draw(parameter, float(generator.random())) for name, parameter in sweep.parameters.items()}


def _draw(parameter: Parameter, share: float) -> Any:
    if parameter.quantile is not None:
        return parameter.quantile(share)
    weights = parameter.probabilities or (1 / len(parameter.choices),) * len(parameter.choices)
    index = int(np.searchsorted(np.cumsum(weights), share, side="right"))
    return parameter.choices[min(index, len(parameter.choices) - 1)]


class Bayes:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) over the quantiles of the parameters.

    Trials that are asked for together are told apart by a constant lie: until its result is known, a trial counts as a
    bad one, so that the next is drawn elsewhere. A trial that was stopped early counts with the value that it had.
    """

    repeats = True

    def __init__(self, sweep: Sweep, seed: int, at_once: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=at_once > 1)
        self._sweep = sweep
        self._study = optuna.create_study(direction=sweep.goal, sampler=sampler)
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self) -> Asked | None:
        """The next trial."""
        asked = self._study.ask()
        self._asked[asked.number] = asked
        return Asked({name: _suggest(asked, name, parameter) for name, parameter in self._sweep.parameters.items()})

    def tell(self, trial: Trial) -> None:
        """Learn from a trial's value, from where it stood when it was stopped, or from the fact that it failed."""
        asked = self._asked.pop(trial.number)
        if trial.state == FINISHED:
            self._study.tell(asked, trial.metrics[self._sweep.metric])
        elif trial.state == STOPPED:
            asked.report(trial.metrics[self._sweep.metric], max(trial.rungs, default=0))
            self._study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)


def _suggest(asked: optuna.Trial, name: str, parameter: Parameter) -> Any:
    if parameter.quantile is not None:
        return parameter.quantile(asked.suggest_float(name, 0.0, 1.0))
    # Indices, because Optuna accepts only scalars as choices.
    return parameter.choices[asked.suggest_categorical(name, range(len(parameter.choices)))]


def open_search(sweep: Sweep, seed: int, at_once: int) -> Search:
    """The search that the sweep's `method` names."""
    if sweep.method == "bayes":
        return Bayes(sweep, seed, at_once)
    return _Listed(_grid(sweep) if sweep.method == "grid" else _random(sweep, seed))
