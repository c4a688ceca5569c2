"""How a sweep proposes params: over a grid, at random, or by Bayesian search; or as somebody else's server says."""

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import optuna

from recsys_pipeline.core.learning.sweeps.distributions import Parameter
from recsys_pipeline.core.learning.sweeps.space import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, STOPPED, Trial

DRAWS = 100
"""Draws after which a new point is looked for among those that are left, and not drawn."""
BAYES_DRAWS = 20
"""The same for draws that take a thousand times as long."""
MOST_LEFT = 10_000
BISECTIONS = 100
"""More than a float has digits."""


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
        """What came out of a trial that was asked for; trials are told in the order in which they were asked for."""
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


class _Tried:
    """The points that were proposed, so that none is proposed twice while others are left: trials are deterministic."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._points: set[tuple[Any, ...]] = set()

    def add(self, params: Mapping[str, Any]) -> bool:
        """Count a point as proposed; whether nothing equal was before."""
        point = self._sweep.point(params)
        if point in self._points:
            return False
        self._points.add(point)
        return True

    @property
    def has_all(self) -> bool:
        """Whether every point of a space that has an end was proposed."""
        return len(self._points) >= self._sweep.size

    def left(self) -> list[dict[str, Any]]:
        """Points that were not proposed, up to `MOST_LEFT` of them; none of a space that nobody can list."""
        if any(parameter.size > MOST_LEFT for parameter in self._sweep.parameters.values()):
            return []
        columns = {name: parameter.values() for name, parameter in self._sweep.parameters.items()}
        every = (dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values()))
        return list(itertools.islice((one for one in every if self._sweep.point(one) not in self._points), MOST_LEFT))


def _grid(sweep: Sweep) -> Iterator[dict[str, Any]]:
    names = list(sweep.parameters)
    for values in itertools.product(*(sweep.parameters[name].choices for name in names)):
        yield dict(zip(names, values, strict=True))


def _random(sweep: Sweep, seed: int) -> Iterator[dict[str, Any]]:
    generator, tried = np.random.default_rng(seed), _Tried(sweep)
    draws = (
        {name: _draw(parameter, float(generator.random())) for name, parameter in sweep.parameters.items()}
        for _ in itertools.count()
    )
    while not tried.has_all:
        found = next((params for params in itertools.islice(draws, DRAWS) if tried.add(params)), None)
        if found is None:
            left = tried.left()
            if not left:
                return
            found = left[int(generator.integers(len(left)))]
            tried.add(found)
        yield found


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
    What is drawn a second time is dropped: after `BAYES_DRAWS` of them one of the points that are left is taken.
    """

    repeats = True

    def __init__(self, sweep: Sweep, seed: int, at_once: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=at_once > 1)
        self._sweep = sweep
        self._study = optuna.create_study(direction=sweep.goal, sampler=sampler)
        self._asked: deque[optuna.Trial] = deque()
        self._tried = _Tried(sweep)
        self._generator = np.random.default_rng(seed)

    def ask(self) -> Asked | None:
        """The next trial; None where every point was tried."""
        for _ in range(0 if self._tried.has_all else BAYES_DRAWS):
            if (found := self._new()) is not None:
                return found
        left = self._tried.left()
        if not left:
            return None
        chosen = left[int(self._generator.integers(len(left)))]
        parameters = self._sweep.parameters
        self._study.enqueue_trial({name: _place(parameters[name], value) for name, value in chosen.items()})
        return self._new()

    def _new(self) -> Asked | None:
        """What the sampler draws next; None where that was drawn before."""
        asked = self._study.ask()
        params = {name: _suggest(asked, name, parameter) for name, parameter in self._sweep.parameters.items()}
        if not self._tried.add(params):
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
            return None
        self._asked.append(asked)
        return Asked(params)

    def tell(self, trial: Trial) -> None:
        """Learn from a trial's value, from where it stood when it was stopped, or from the fact that it failed."""
        asked = self._asked.popleft()
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
    possible = parameter.possible or ()
    return possible[asked.suggest_categorical(name, range(len(possible)))][0]


def _place(parameter: Parameter, value: Any) -> Any:
    """What Optuna must suggest so that this value comes out."""
    if parameter.quantile is None:
        return parameter.values().index(value)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):  # the quantile rises with the share
        middle = (low + high) / 2
        low, high = (middle, high) if parameter.quantile(middle) <= value else (low, middle)
    return low if parameter.quantile(low) == value else high


def open_search(sweep: Sweep, seed: int, at_once: int) -> Search:
    """The search that the sweep's `method` names."""
    if sweep.method == "bayes":
        return Bayes(sweep, seed, at_once)
    return _Listed(_grid(sweep) if sweep.method == "grid" else _random(sweep, seed))
