"""Every trial as a tracked run: opened when it starts, told each step, closed with how it ended, and kept on disk."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from recsys_pipeline.adapters.store import Artifact
from recsys_pipeline.adapters.sweep_agents import SECONDS, STOPPED_AT
from recsys_pipeline.adapters.tracker import TrackedRun, Tracker
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.sweep import Proposal, Sweep, Trial, Watch
from recsys_pipeline.core.learning.sweeps.trials import STOPPED, save_trial
from recsys_pipeline.defs.production import log_progress


class TrialRuns(Watch):
    """The `Watch` of a sweep; a context, at whose end trials that were interrupted are closed as failed."""

    def __init__(
        self,
        tracker: Tracker,
        sweep: Sweep,
        group: str,
        inputs: Sequence[Artifact],
        kept: Path | None = None,
        sweep_id: str | None = None,
        is_stopped: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._tracker, self._sweep, self._group, self._inputs = tracker, sweep, group, inputs
        self._kept, self._sweep_id, self._is_stopped = kept, sweep_id, is_stopped
        self._open: dict[int, tuple[AbstractContextManager[TrackedRun], TrackedRun]] = {}
        self._told: dict[int, Mapping[str, float | int]] = {}

    def __enter__(self) -> "TrialRuns":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._open):
            self._close(number, error or ModelError("the sweep ended before this trial did"))

    def started(self, proposal: Proposal) -> None:
        """Open its run."""
        self._begin(proposal.number, {**proposal.params, **dataclasses.asdict(proposal.config)}, proposal.run_id)

    def step(self, proposal: Proposal, metrics: Mapping[str, float | int]) -> bool:
        """Log it; stop where somebody pressed the run's stop button."""
        self._told[proposal.number] = metrics
        self._open[proposal.number][1].log(dict(metrics))
        return not self._is_stopped(proposal.run_id)

    def ended(self, trial: Trial) -> None:
        """Keep it, say so, and close its run."""
        if self._kept is not None:
            save_trial(self._kept, trial)
        value = trial.metrics.get(self._sweep.metric, math.nan)
        figures = {self._sweep.metric: value, "seconds": trial.seconds}
        log_progress(f"trial {trial.number} {trial.state} {trial.error}".rstrip(), figures)
        if trial.number not in self._open:
            self._begin(trial.number, dict(trial.params), trial.run_id)
        known = self._told.pop(trial.number, {})
        told = {name: figure for name, figure in trial.metrics.items() if known.get(name) != figure}
        told[SECONDS] = round(trial.seconds, 3)
        if trial.state == STOPPED:
            told[STOPPED_AT] = max(trial.rungs, default=0)
        self._open[trial.number][1].log(told)
        self._close(trial.number, ModelError(trial.error) if trial.error else None)

    def _begin(self, number: int, config: dict[str, Any], run_id: str) -> None:
        refs = [ref for one in self._inputs for ref in (one.manifest.ref, *one.manifest.recipe.inputs)]
        data = {f"{ref.key}@{ref.partition}": ref.digest for ref in refs}
        about = {"trial": number, "sweep": self._sweep_id or self._group, "data": data}
        opening = self._tracker.run(
            f"{self._group}-{run_id or number}", "learning", {**config, **about}, self._group,
            inputs=self._inputs, tags=("trial",), run_id=run_id or None, sweep=self._sweep_id,
        )  # fmt: skip
        self._open[number] = opening, opening.__enter__()

    def _close(self, number: int, error: BaseException | None) -> None:
        opening, _ = self._open.pop(number)
        opening.__exit__(type(error) if error else None, error, None)
