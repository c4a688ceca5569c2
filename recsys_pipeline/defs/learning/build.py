"""A sweep as an artifact: run, stored, shown."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from recsys_pipeline.adapters.at_a_shell import at_a_shell
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import content_digest, describe_files
from recsys_pipeline.adapters.store.report_folder import publish_beside
from recsys_pipeline.adapters.store.retention import FOUND
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.baseline import Comparison
from recsys_pipeline.core.learning.sweeps.known_points import end_of_space
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, best_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, load_trials, save_trial
from recsys_pipeline.core.reports.accuracy.against_baseline import verdict
from recsys_pipeline.core.reports.page import plots, sweep_plots
from recsys_pipeline.core.reports.page.sweep_page import (
    best_value,
    importance_of,
    n_best_of,
    render_sweep,
    scores_of,
    trial_rows,
    why_unknown_of,
)
from recsys_pipeline.defs.learning.engines import SweepTask, Swept, run_engine
from recsys_pipeline.defs.learning.in_use import (
    BASELINE,
    BEST_CONFIG,
    IN_USE,
    TAKEN_TRIAL,
    InUse,
    found_by,
    given_baseline,
    in_use_before,
)
from recsys_pipeline.defs.learning.tuned import Tuned
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.resources import report_folder
from recsys_pipeline.defs.shown import drawn, page_link, picture
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.settings import settings

PAGE, TRIALS, YAML, COMPARISON = "sweep.html", "trials.jsonl", "sweep.yaml", "comparison.json"


def _definition(tuned: Tuned, make: Make) -> str:
    return read_sweep_file(make.form.file, tuned.key)


def _in_use(tuned: Tuned, make: Make) -> InUse:
    """What the best trial is compared with: the field's settings where it has any, else those in use."""
    if make.form.baseline:
        return given_baseline(tuned.spec, make.form.baseline)
    form = {**make.form.model_dump(exclude={BASELINE}), "definition": make.once(_definition, tuned)}
    return in_use_before(make.store, tuned.spec, make.partition, form)


def sweep_settings(tuned: Tuned, make: Make) -> dict[str, Any]:
    """The form with the file's text, and with what the trials are compared with."""
    in_use = dataclasses.asdict(make.once(_in_use, tuned).config)
    form = make.form.model_dump(exclude={BASELINE})
    return {**form, "definition": make.once(_definition, tuned), BASELINE: in_use}


def run_sweep(tuned: Tuned, make: Make) -> Built:
    """Run the sweep that the file defines over the config of the model."""
    form, in_use, day = sweep_settings(tuned, make), make.once(_in_use, tuned), make.partition
    parsed = tuned.parse(form["definition"], make.form.file, make.form.chosen_method)
    sweep, inputs = dataclasses.replace(parsed, base=form[BASELINE]), [make[key] for key in tuned.inputs]
    kept = progress_file(tuned, day, inputs, form)
    swept = run_engine(SweepTask(tuned, day, sweep, make.form, inputs, make.tracker, kept, in_use.config))
    steps.info("  %s", verdict(swept.result))
    if over := end_of_space(sweep, swept.result.trials):
        steps.info("  %s", over)
    (make.directory / YAML).write_text(form["definition"])
    digest = _write(make.directory, swept, day, _data_digest(inputs))
    _track(make.run, swept.result)
    for left in (kept, kept.with_suffix(".sweep")):
        left.unlink(missing_ok=True)
    return Built({**_headline(swept, in_use), IN_USE: in_use.facts()}, digest)


def read_sweep_file(file: str, key: str) -> str:
    """The text of a sweep file; raises `SettingError` that lists the files that there are.

    A file that a form names must lie below the folder of the project, links followed; who has a shell here may read
    what they like.
    """
    there = ", ".join(sorted(found.as_posix() for found in Path("conf/sweeps").glob("*.yaml"))) or "none"
    try:
        path = Path(file).resolve()
        if not at_a_shell() and not path.is_relative_to(Path.cwd().resolve()):
            raise SettingError(f"{key}.file: {file} is not below the project's folder; there are {there}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingError(f"{key}.file: {file} cannot be read ({why}); there are {there}") from error


def progress_file(tuned: Tuned, day: str, inputs: Sequence[Artifact], form: dict[str, Any]) -> Path:
    """Where finished trials are kept until the sweep ends: one file per data and settings."""
    facts = [*(artifact.manifest.digest for artifact in inputs), form]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    name = f"{tuned.model}_sweep"
    folder = settings().home / "checkpoints" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}@{day}-{digest[:12]}.jsonl"


def _data_digest(inputs: Sequence[Artifact]) -> str:
    """The snapshot's, where the inputs were made from one."""
    refs = [ref for artifact in inputs for ref in artifact.manifest.recipe.inputs if ref.key.startswith("dataset/")]
    return refs[0].digest if refs else inputs[0].manifest.digest


def _write(directory: Path, swept: Swept, day: str, data: str) -> str:
    """Table, comparison, records and page; the digest is that of the first two, since times differ every time."""
    if swept.result.comparison is not None:
        document = json.dumps(swept.result.comparison.document(), indent=1) + "\n"
        (directory / COMPARISON).write_text(document, encoding="utf-8")
    timeless = [{key: row[key] for key in row if key not in ("seconds", "run_id")} for row in trial_rows(swept.result)]
    table = pd.DataFrame(timeless).astype({"stopped_at": "Int64"})
    table.to_parquet(directory / "trials.parquet")
    digest = content_digest(describe_files(directory))
    for trial in swept.result.trials:
        save_trial(directory / TRIALS, trial)
    (directory / PAGE).write_text(render_sweep(swept.result, day, data, swept.engine), encoding="utf-8")
    return digest


def _track(run: TrackedRun, result: SweepResult) -> None:
    """The summary run: best so far as a curve, the gain, importance, the trials as a table, and the plots."""
    better = min if result.sweep.minimise else max
    best: float | None = None
    for trial in result.trials:
        if trial.state == FINISHED:
            value = trial.metrics[result.sweep.metric]
            best = value if best is None else better(best, value)
            run.log({"trial": trial.number, result.sweep.metric: value, f"best {result.sweep.metric} so far": best})
    if result.comparison and (gain := result.comparison.gain):
        run.log({"gain over what is in use": gain.best - gain.baseline, "p_value of the gain": gain.p_value})
    if shares := importance_of(result):
        run.log({f"importance of {name}": share for name, share in shares.items()})
    run.log({f"trials with the best {result.sweep.metric}": n_best_of(result)})
    rows = trial_rows(result)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    run.log_table("trials", columns, [[row.get(name) for name in columns] for row in rows])
    for name, found in drawn(lambda: _pictures(result), "the sweep").items():
        if isinstance(found, tuple):  # else it says why there is none
            run.log_picture(name, *found)


def _pictures(result: SweepResult) -> dict[str, tuple[bytes, str]]:
    name, minimise = result.sweep.metric, result.sweep.minimise
    params = [result.searched(trial) for trial in result.trials]
    progress = plots.sweep_progress(scores_of(result, finished=True), name, minimise)
    lines = sweep_plots.parallel_coordinates(params, scores_of(result), name, minimise)
    unknown = why_unknown_of(result)
    bars = sweep_plots.importance_bars(importance_of(result), unknown)
    return {
        "search": (plots.to_png(progress), f"{name} of each trial that was not stopped"),
        "parameters": (plots.to_png(lines), f"parameters of each trial and its {name}"),
        "importance": (plots.to_png(bars), unknown or "importance of each parameter, by PED-ANOVA"),
    }


def _headline(swept: Swept, in_use: InUse) -> dict[str, Any]:
    result, states = swept.result, [trial.state for trial in swept.result.tried]
    facts: dict[str, Any] = {
        "trials": len(states),
        "stopped": states.count(STOPPED),
        "failed": states.count(FAILED),
        f"best_{result.sweep.metric}": best_value(result),
        "trials_with_the_best": n_best_of(result),
        "verdict": verdict(result),
        TAKEN_TRIAL: result.chosen.number,
        BEST_CONFIG: dataclasses.asdict(result.chosen_config),
        FOUND: found_by(in_use, result.searched(result.chosen), result.chosen is not result.baseline),
        "engine": "wandb" if swept.url else "offline",
    }
    return {**facts, "wandb_sweep": swept.url} if swept.url else facts


def stored_result(tuned: Tuned, artifact: Artifact) -> SweepResult:
    """The trials and the best config of a stored sweep."""
    form = artifact.manifest.recipe.config
    text = (artifact.path / YAML).read_text()
    parsed = parse_sweep(text, tuned.spec.config, method=None if form["method"] == "file" else form["method"])
    sweep = dataclasses.replace(parsed, base=form.get(BASELINE, {}))
    compared = artifact.path / COMPARISON
    comparison = Comparison.of(json.loads(compared.read_text(encoding="utf-8"))) if compared.exists() else None
    return best_of(sweep, load_trials(artifact.path / TRIALS), comparison)


def describe_sweep(tuned: Tuned, make: Make, artifact: Artifact) -> dict[str, Any]:
    """The page, the plots, and the trials, best first."""
    folder = report_folder(settings(), make.store.source)
    page = publish_beside(artifact, PAGE, folder, f"{tuned.model}_sweep").absolute()
    result = stored_result(tuned, artifact)
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    best_first = trials.sort_values(result.sweep.metric, ascending=result.sweep.minimise, kind="stable")
    shown = {f"plot of the {name}": picture(*drawn) for name, drawn in _pictures(result).items()}
    return {
        **page_link("page", page),
        **shown,
        "trials, best first": dg.MetadataValue.md(best_first.to_markdown(index=False, floatfmt=".4g")),
    }
