"""Who proposes a sweep's trials: Optuna in this process, or a W&B server, to it and to any number of others."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.wandb.server import ServerAwayError, WandbServer, is_online
from recsys_pipeline.adapters.wandb.sweep_agents import WandbAgents
from recsys_pipeline.adapters.wandb.sweeps import WandbSweep
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.baseline import Comparison
from recsys_pipeline.core.learning.sweeps.space import for_server
from recsys_pipeline.core.learning.sweeps.sweep import Sweep, SweepResult, best_of, run_batches, try_batches
from recsys_pipeline.core.learning.sweeps.trials import Trial, load_trials
from recsys_pipeline.core.reports.accuracy.against_baseline import compare, why_nothing_to_compare
from recsys_pipeline.defs.learning.trial_runs import TrialRuns
from recsys_pipeline.defs.learning.tuned import Tuned

logger = logging.getLogger("recsys_pipeline.steps")
AGENT = ["recsys", "sweep", "agent"]
"""The `command` of the sweeps that we make at a server; one more word says what an agent must know, as JSON."""


@dataclass(frozen=True)
class SweepTask:
    """A sweep that is to be run: of which asset and day, over which inputs, with which form."""

    tuned: Tuned
    partition: str
    sweep: Sweep
    form: Any
    inputs: Sequence[Artifact]
    tracker: Tracker
    kept: Path | None = None
    """Where finished trials are kept until the sweep ends."""
    baseline: Any = None
    """The settings in use; None where another process tries them."""

    @property
    def group(self) -> str:
        """Under which name its trials stand together."""
        return f"{self.tuned.model}_sweep@{self.partition}"

    def facts(self) -> dict[str, Any]:
        """What an agent on another machine must know besides the sweep itself."""
        refs = [vars(artifact.manifest.ref) for artifact in self.inputs]
        return {"asset": self.tuned.key, "partition": self.partition, "form": self.form.model_dump(), "inputs": refs,
                "base": dict(self.sweep.base)}  # fmt: skip


@dataclass(frozen=True)
class Swept:
    """What came out, who proposed the trials, and the sweep's page where a server has one."""

    result: SweepResult
    engine: str
    """In words."""
    url: str = ""


def run_engine(task: SweepTask) -> Swept:
    """Run the sweep by the engine that the form asks for, and compare its best trial with the settings in use.

    Raises `SettingError` where it asks for W&B and W&B is not online, `ModelError` where no trial finished.
    """
    at_server = _at_server(task)
    swept = _offline(task) if at_server is None else _online(task, at_server)
    return replace(swept, result=replace(swept.result, comparison=_comparison(task, swept.result)))


def _comparison(task: SweepTask, result: SweepResult) -> Comparison:
    """Both are fitted anew: figures of single users are kept of no trial, and some ran on other machines."""
    if why := why_nothing_to_compare(result):
        return Comparison(result.best.number, why_not=why)
    tuned, trials = task.tuned, [trial for trial in (result.baseline, result.best) if trial]
    logger.info("  trial %d and the settings in use are compared on %s that steered none", trials[1].number, tuned.unit)
    units = [tuned.units(task.inputs, task.form, task.sweep.metric, result.config_of(trial)) for trial in trials]
    return compare(result, *units, unit=tuned.unit, seed=task.form.seed)


def _at_server(task: SweepTask) -> WandbSweep | None:
    """The sweep at the server, made or joined; None where the engine is Optuna."""
    engine, online = task.form.engine, is_online() and task.tracker.enabled
    if engine == "wandb" and not online:
        raise SettingError(
            f"{task.tuned.key}.engine: wandb needs WANDB_API_KEY, tracking on, and WANDB_MODE not offline; "
            "with offline or auto, Optuna serves the same file"
        )
    if engine == "offline" or not online:
        return None
    try:
        return _made_or_joined(task, WandbServer.configured())
    except ServerAwayError as error:
        if engine == "wandb":
            raise
        logger.warning("  %s; Optuna proposes the trials of this sweep", error)
        return None


def _made_or_joined(task: SweepTask, server: WandbServer) -> WandbSweep:
    """The sweep of the form, or of the interrupted run before this one, or a new one."""
    project = task.tracker.project
    if task.form.wandb_sweep:
        return WandbSweep.join(server, project, task.form.wandb_sweep)
    note = task.kept.with_suffix(".sweep") if task.kept else None
    if note and note.exists():
        try:
            return WandbSweep.join(server, project, note.read_text())
        except SettingError as error:
            logger.warning("  %s; a new sweep is made", error)
    sweep = task.sweep
    ours = {
        "name": f"{sweep.name} {task.group}",
        "run_cap": min(task.form.n_trials, sweep.run_cap or task.form.n_trials),
        "program": AGENT[0],
        "command": [*AGENT, json.dumps(task.facts())],
    }
    made = WandbSweep.create(server, project, {**for_server(sweep.definition), **ours})
    if note:
        note.write_text(made.path)
    return made


def _offline(task: SweepTask) -> Swept:
    form, sweep = task.form, task.sweep
    known = load_trials(task.kept) if task.kept else []
    run = task.tuned.trials(task.inputs, form, sweep.metric)
    with TrialRuns(task.tracker, sweep, task.group, task.inputs, task.kept, n_trials=form.n_trials) as watch:
        result = run_batches(
            sweep, run, form.n_trials, form.seed, form.at_once, known, watch, form.limits, baseline=task.baseline
        )
    return Swept(result, "Optuna, in one process")


def _online(task: SweepTask, at_server: WandbSweep) -> Swept:
    form, sweep = task.form, task.sweep
    logger.info("  W&B sweep %s  %s  (join it: recsys sweep agent %s)", at_server.name, at_server.url, at_server.path)
    with WandbAgents(sweep, at_server, deadline_s=form.limits.seconds) as agents:
        own = share_of(task, at_server, agents, load_trials(task.kept) if task.kept else ())
        trials = [*own, *agents.others(own)]
        if not form.wandb_sweep:  # those who made a sweep that we joined may want more of it
            at_server.finish()
    return Swept(best_of(sweep, trials), f"W&B's server ({at_server.path})", at_server.url)


def share_of(task: SweepTask, at_server: WandbSweep, agents: WandbAgents, earlier: Sequence[Trial] = ()) -> list[Trial]:
    """This process's share of the trials of a sweep at a server."""
    form, sweep = task.form, task.sweep
    run = task.tuned.trials(task.inputs, form, sweep.metric)
    about = {"sweep_id": at_server.name, "is_stopped": agents.is_stopped}
    with TrialRuns(task.tracker, sweep, task.group, task.inputs, task.kept, **about) as watch:
        return try_batches(
            sweep, run, form.n_trials, form.seed, form.at_once, earlier, watch, form.limits, agents,
            baseline=task.baseline,
        )  # fmt: skip


def facts_of(at_server: WandbSweep) -> Mapping[str, Any]:
    """What `SweepTask.facts` told the server; raises `SettingError` where the sweep is not one of ours."""
    *command, facts = at_server.definition.get("command") or [""]
    if command != AGENT:
        raise SettingError(
            f"{at_server.path} does not say what to train: agents join sweeps that `recsys sweep run` or the asset made"
        )
    return json.loads(facts)
