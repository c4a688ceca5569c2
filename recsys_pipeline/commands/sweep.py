"""`recsys sweep run` and `sweep agent`: a sweep with a file, or trials of one that is under way elsewhere."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from recsys_pipeline import definitions
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.wandb.server import WandbServer
from recsys_pipeline.adapters.wandb.sweep_agents import WandbAgents
from recsys_pipeline.adapters.wandb.sweeps import WandbSweep
from recsys_pipeline.commands.running.launch import last_complete_day, run_job
from recsys_pipeline.commands.screen import show_steps
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.learning.sweeps.importance import n_equal
from recsys_pipeline.core.learning.sweeps.known_points import end_of_space
from recsys_pipeline.core.learning.sweeps.space import parse_sweep
from recsys_pipeline.core.learning.sweeps.sweep import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, Trial
from recsys_pipeline.core.reports.accuracy.against_baseline import verdict
from recsys_pipeline.defs.learning.build import read_sweep_file, stored_result
from recsys_pipeline.defs.learning.engines import SweepTask, facts_of, share_of
from recsys_pipeline.defs.learning.in_use import BEST_CONFIG
from recsys_pipeline.defs.learning.tuned import TUNED, Tuned
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source, report_folder
from recsys_pipeline.settings import settings

UNLIMITED = {"n_trials": 10**6, "max_minutes": 0.0, "budget_epochs": 0}
"""An agent goes on until the server has no more, unless its own command line says otherwise."""


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Tune a model, or train trials of another's sweep."""
    show_steps()
    return _run(console, parsed) if parsed.kind == "run" else _agent(console, parsed)


def _run(console: Console, parsed: argparse.Namespace) -> int:
    """Run the sweep asset of the file's model for a day and print the best trials."""
    tuned = tuned_by(parsed.file, parsed.model)
    day = parsed.day or last_complete_day()
    chosen = {"file": parsed.file, "method": parsed.method, "engine": parsed.engine, "wandb_sweep": parsed.join}
    form = {name: value for name, value in chosen.items() if value is not None} | _given(parsed, tuned)
    overrides = [f"{tuned.key}.{name}={json.dumps(value)}" for name, value in form.items()]
    run_job(definitions.defs, "sweep_by_hand", day, overrides, only=tuned.key)
    artifact = StoreResource().open().get(tuned.key, day)
    result = stored_result(tuned, artifact)
    print_trials(console, result.sweep, list(result.trials))
    console.print(f"Verdict {verdict(result)}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"In use  {json.dumps(artifact.manifest.metrics[BEST_CONFIG])}", soft_wrap=True)
    page = report_folder(settings(), configured_source().name) / f"{day}-{tuned.model}_sweep.html"
    console.print(f"Page    {page}", soft_wrap=True)
    if url := artifact.manifest.metrics.get("wandb_sweep"):
        console.print(f"W&B     {url}", soft_wrap=True)
    return 0


def _agent(console: Console, parsed: argparse.Namespace) -> int:
    """Train trials of a sweep at the W&B server until it has no more, or a limit is reached."""
    tracker = TrackerResource().open()
    at_server = WandbSweep.join(WandbServer.configured(), tracker.project, parsed.sweep)
    facts = facts_of(at_server)
    tuned = TUNED[facts["asset"]]
    form = tuned.form(**{**facts["form"], **UNLIMITED, **_given(parsed, tuned)})
    inputs = _same_inputs(StoreResource().open(), facts, at_server)
    ours = ("program", "command", "run_cap")
    definition = {key: value for key, value in at_server.definition.items() if key not in ours}
    parsed_sweep = parse_sweep(yaml.safe_dump(definition, sort_keys=False), tuned.spec.config, at_server.path)
    sweep = replace(parsed_sweep, base=facts["base"])
    task = SweepTask(tuned, facts["partition"], sweep, form, inputs, tracker)
    with WandbAgents(sweep, at_server, deadline_s=form.limits.seconds) as agents:
        trials = share_of(task, at_server, agents)
    print_trials(console, sweep, trials)
    return 0


def tuned_by(file: str, model: str | None) -> Tuned:
    """The sweep asset whose model has all of the file's parameters, of those that the source can feed.

    Of several it is the one after which the file is named. Raises `SettingError` where none has them, or several have.
    """
    source = configured_source()
    fed = [tuned for tuned in TUNED.values() if tuned.needs in source.provides]
    candidates = [tuned for tuned in fed if model in (None, tuned.model)]
    if not candidates:
        there = ", ".join(tuned.model for tuned in fed) or "none"
        raise SettingError(f"{source.name} does not have what {model or 'a sweep'} learns from; it feeds: {there}")
    text = read_sweep_file(file, "recsys sweep run")
    fitting, reasons = [], []
    for tuned in candidates:
        try:
            tuned.parse(text, Path(file).name)
            fitting.append(tuned)
        except SettingError as error:
            reasons.append(f"for {tuned.model}, {error}")
    named = [tuned for tuned in fitting if _is_named_after(file, tuned.model)]
    if len(named or fitting) == 1:
        return (named or fitting)[0]
    if fitting:
        raise SettingError(f"{file} fits {', '.join(tuned.model for tuned in fitting)}: choose with --model")
    raise SettingError("; ".join(reasons))


def _is_named_after(file: str, model: str) -> bool:
    """As `ease.yaml` and `ease_recall.yaml` are after `ease`."""
    return f"{Path(file).stem}_".startswith(f"{model}_")


def _given(parsed: argparse.Namespace, tuned: Tuned) -> dict[str, Any]:
    """Fields of the form that the command line sets."""
    if parsed.parallel is not None and "trials_at_once" not in tuned.form.model_fields:
        raise SettingError(f"--parallel: trials of {tuned.model} train one by one; start more agents instead")
    fields = {
        "n_trials": parsed.count, "max_minutes": parsed.max_minutes, "budget_epochs": parsed.budget,
        "trials_at_once": parsed.parallel,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def _same_inputs(store: ArtifactStore, facts: Any, at_server: WandbSweep) -> list[Artifact]:
    """The inputs of the sweep out of this store; other data would make trials that cannot be compared."""
    found = []
    for ref in facts["inputs"]:
        artifact = store.get(ref["key"], ref["partition"])
        if artifact.manifest.digest != ref["digest"]:
            raise ArtifactError(
                f"{ref['key']}@{ref['partition']} is {artifact.manifest.digest[:12]} here and {ref['digest'][:12]} "
                f"where {at_server.path} was made: use the same store (RECSYS_STORE), or materialize the same data"
            )
        found.append(artifact)
    return found


def print_trials(console: Console, sweep: Sweep, trials: list[Trial], most: int = 10) -> None:
    """The best trials as a table."""
    sign = 1 if sweep.minimise else -1
    finished = sorted(
        (trial for trial in trials if trial.state == FINISHED), key=lambda trial: sign * trial.metrics[sweep.metric]
    )
    n_own, n_finished = (sum(not trial.is_baseline for trial in some) for some in (trials, finished))
    table = Table(title=f"{sweep.name}: {n_own} trials, {n_finished} finished", title_justify="left")
    names = [name for name, parameter in sweep.parameters.items() if len(parameter.choices) != 1]
    for heading in ("trial", sweep.metric, *names):
        table.add_column(heading, justify="right", overflow="fold")
    for trial in finished[:most]:
        values = [trial.params[name] for name in names]
        shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
        name = f"{trial.number}{' in use' if trial.is_baseline else ''}"
        table.add_row(name, f"{trial.metrics[sweep.metric]:.4f}", *shown)
    console.print(table)
    if over := end_of_space(sweep, trials):
        console.print(f"{over[0].upper()}{over[1:]}: the sweep ended there.")
    values = [trial.metrics[sweep.metric] for trial in finished]
    if values and (n_best := n_equal(values, values[0])) > 1:
        console.print(f"{n_best} trials come to the best {sweep.metric}, and cannot be told apart.", markup=False)
