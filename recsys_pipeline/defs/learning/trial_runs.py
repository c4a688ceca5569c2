"""Every trial as a tracked run: opened when it starts, told each step, closed with how it ended, and kept on disk."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.wandb.names import readable_id
from recsys_pipeline.adapters.wandb.sweep_agents import SECONDS, STOPPED_AT
from recsys_pipeline.adapters.wandb.tracker import TrackedRun, Tracker
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.forecast import duration_words, expected_seconds, planned_trials
from recsys_pipeline.core.learning.sweeps.protocol import Proposal, Watch
from recsys_pipeline.core.learning.sweeps.space import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, STOPPED, Trial, save_trial
from recsys_pipeline.defs.step_log import steps


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
        n_trials: int = 0,
    ) -> None:
        """`n_trials` is how many this process asks for, where nobody else runs any: then it says how long they take."""
        self._tracker, self._sweep, self._group, self._inputs = tracker, sweep, group, inputs
        self._kept, self._sweep_id, self._is_stopped = kept, sweep_id, is_stopped
        self._planned = planned_trials(sweep, n_trials)
        self._ended: list[Trial] = []
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
        self._ended.append(trial)
        steps.info("  %s", self._told_of(trial))
        if trial.is_baseline and trial.state != FINISHED:
            steps.warning("  nothing can be compared with the settings in use, so no trial of this sweep will be taken")
        if trial.number not in self._open:
            self._begin(trial.number, dict(trial.params), trial.run_id)
        known = self._told.pop(trial.number, {})
        told = {name: figure for name, figure in trial.metrics.items() if known.get(name) != figure}
        told[SECONDS] = round(trial.seconds, 3)
        if trial.state == STOPPED:
            told[STOPPED_AT] = max(trial.rungs, default=0)
        self._open[trial.number][1].log(told)
        self._close(trial.number, ModelError(trial.error) if trial.error else None)

    def _told_of(self, trial: Trial) -> str:
        """Number, value, the best so far, and how long the rest will take."""
        name, metric = f"trial {trial.number}", self._sweep.metric
        if trial.is_baseline:
            name += ", the settings in use,"
        value = f"{metric} {trial.metrics.get(metric, math.nan):.4f}"
        finished = [one.metrics[metric] for one in self._ended if one.state == FINISHED]
        best = f"best {min(finished) if self._sweep.minimise else max(finished):.4f}" if finished else ""
        words = [f"{name} {trial.state}", trial.error or value, best, f"{trial.seconds:.1f} s", self._forecast()]
        return "  ".join(word for word in words if word)

    def _forecast(self) -> str:
        n_left = self._planned - sum(not one.is_baseline for one in self._ended)
        seconds = expected_seconds(self._sweep, self._ended, n_left)
        if n_left <= 0 or math.isnan(seconds):
            return ""
        return f"about {duration_words(seconds)} for {n_left} {'trial' if n_left == 1 else 'trials'}"

    def _begin(self, number: int, config: dict[str, Any], run_id: str) -> None:
        refs = [ref for one in self._inputs for ref in (one.manifest.ref, *one.manifest.recipe.inputs)]
        data = {f"{ref.key}@{ref.partition}": ref.digest for ref in refs}
        about = {"trial": number, "sweep": self._sweep_id or self._group, "data": data}
        opening = self._tracker.run(
            f"{self._group}-{run_id or number}", "learning", {**config, **about}, self._group,
            inputs=self._inputs, tags=("trial",), run_id=run_id or self._id_of(number),
            sweep=self._sweep_id if run_id else None,
        )  # fmt: skip
        self._open[number] = opening, opening.__enter__()

    def _id_of(self, number: int) -> str:
        """Begins with the number, as `wandb leet` cuts ids short."""
        return readable_id(f"t{number}-{self._group}", os.urandom(8).hex())

    def _close(self, number: int, error: BaseException | None) -> None:
        opening, _ = self._open.pop(number)
        opening.__exit__(type(error) if error else None, error, None)
