"""What a sweep, those that run its trials and those that watch it say to each other."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.trials import Trial

Report = Callable[[Mapping[str, float | int]], bool]
"""Told a step's metrics with their `epoch`; False where the trial is to stop."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run; `report` may be told of every step that has metrics."""

    number: int
    params: Mapping[str, Any]
    config: Any
    run_id: str = ""
    report: Report = field(default=lambda _: True, compare=False)


@dataclass(frozen=True)
class Outcome:
    """What came out of a trial: metrics, whether it was stopped early, the sweep's metric at each rung, or an error."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False
    rungs: Mapping[int, float] = field(default_factory=dict)
    error: str = ""


class Watch:
    """Hears of every trial as it runs; this one keeps silent."""

    def started(self, proposal: Proposal) -> None:
        """A trial begins; those that run together begin together."""

    def step(self, proposal: Proposal, metrics: Mapping[str, float | int]) -> bool:  # noqa: ARG002 - for those that listen
        """Metrics after an epoch; whether the trial is to go on."""
        return True

    def ended(self, trial: Trial) -> None:
        """A trial that has run is over; it may never have started, where its params exclude one another."""


@dataclass(frozen=True)
class Limits:
    """Where a sweep ends besides its number of trials: after a time, or after so many epochs of all trials together.

    Both are looked at between trials: those that run are finished, and none starts that is expected to end after
    `seconds`, but for the first. Trials whose config has no `epochs` count one; the settings in use count none.
    """

    seconds: float = math.inf
    epochs: float = math.inf


UNLIMITED = Limits()

RunTrials = Callable[[Sequence[Proposal], Halving | None], Iterator[Mapping[int, Outcome]]]
"""Runs proposals and yields outcomes by number, those together that ran together. Where there is a `Halving`, it is to
be asked at its rungs; values of what ran together are recorded together. A trial whose `report` says so is stopped."""
