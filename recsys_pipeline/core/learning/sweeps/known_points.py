"""What came out of each point of a sweep: trials are deterministic, so none is run twice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from recsys_pipeline.core.learning.sweeps.search import Asked
from recsys_pipeline.core.learning.sweeps.space import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, Trial


class KnownPoints:
    """Finished trials by their point; one that failed may succeed another time."""

    def __init__(self, sweep: Sweep, trials: Sequence[Trial]) -> None:
        self._sweep = sweep
        self._trials: dict[tuple[Any, ...], Trial] = {}
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """A trial that is over."""
        if trial.state == FINISHED:
            self._trials.setdefault(self._sweep.point(trial.params), trial)

    def again(self, asked: Mapping[int, Asked]) -> list[Trial]:
        """Of these proposals those whose point is known, as trials that took no time."""
        found = {number: self._trials.get(self._sweep.point(one.params)) for number, one in asked.items()}
        return [
            replace(trial, number=number, params=one.params, run_id=one.run_id, seconds=0.0, is_baseline=False)
            for number, one in asked.items()
            if (trial := found[number]) is not None
        ]

    def first_of_each(self, asked: Mapping[int, Asked]) -> dict[int, Asked]:
        """Of equal proposals the first."""
        first: dict[tuple[Any, ...], int] = {}
        for number, one in asked.items():
            first.setdefault(self._sweep.point(one.params), number)
        return {number: asked[number] for number in first.values()}


def end_of_space(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """In words that a sweep ended because it had tried every point; empty where others are left."""
    tried = {sweep.point(trial.params) for trial in trials if not trial.is_baseline}
    if not tried or len(tried) < sweep.size:
        return ""
    return f"all {len(tried)} points of the space were tried" if len(tried) > 1 else "the space is one point"
