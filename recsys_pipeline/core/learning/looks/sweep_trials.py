"""Trials of a sweep over shop-the-look configs: trained one after the other, judged on validation pairs."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Proposal, outcome_of
from recsys_pipeline.core.progress import Progress

Fit = Callable[[LooksTrain, Any, int, Progress], Any]
"""`fit(train, config, seed, progress)`, which tells `progress` the metrics after each epoch."""


class _StoppedError(Exception):
    """Leaves a training that does not go on."""


@dataclass(frozen=True)
class LookTrials:
    """Runs the trials of a sweep: the `RunTrials` of `run_batches`.

    A trial's metrics are those that its training tells of the last epoch, `validation_accuracy` among them; where the
    sweep has `early_terminate`, those of its rungs decide whether it goes on.
    """

    fit: Fit
    train: LooksTrain
    seed: int
    metric: str

    def __call__(self, proposals: Sequence[Proposal], halving: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        """Train and judge each."""
        for proposal in proposals:
            yield {proposal.number: self._run(proposal, halving)}

    def fit_again(self, config: Any) -> Any:
        """The model of one config, trained to its end."""
        return self.fit(self.train, config, self.seed, lambda *_: None)

    def _run(self, proposal: Proposal, halving: Halving | None) -> Outcome:
        told: dict[str, float] = {}
        rungs: dict[int, float] = {}
        stopped: list[int] = []
        stops = halving.rule.rungs(proposal.config.epochs) if halving else []

        def progress(_: str, metrics: Mapping[str, float | int]) -> None:
            told.update(metrics)
            epoch = int(told.pop("epoch"))
            if not proposal.report(metrics):
                raise _StoppedError
            if halving is not None and epoch in stops:
                rungs[epoch] = metrics.get(self.metric, math.nan)
                halving.record(epoch, rungs[epoch])
                if not halving.goes_on(epoch, rungs[epoch]):
                    raise _StoppedError

        def trained() -> Mapping[str, float]:
            try:
                self.fit(self.train, proposal.config, self.seed, progress)
            except _StoppedError:
                stopped.append(proposal.number)
            return told

        outcome = outcome_of(trained)
        return replace(outcome, stopped=bool(stopped), rungs=rungs)
