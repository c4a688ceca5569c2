"""Learning: sweeps that find the configs which the daily models take."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field

from recsys_pipeline.adapters.store import Artifact, Built
from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Fold, Split
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials
from recsys_pipeline.core.learning.sweeps.importance import importance
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, parse_sweep, run_batches
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, load_trials, save_trial
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.accuracy.validation import validation_metrics
from recsys_pipeline.core.reports.page import plots, sweep_plots
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource
from recsys_pipeline.settings import settings


class SweepConfig(dg.Config):
    """Which sweep to run and how long."""

    file: str = Field("conf/sweeps/als_ndcg.yaml", description="A sweep YAML in W&B's format; its metric decides.")
    n_trials: int = Field(20, ge=1, description="Trials at most.")
    trials_at_once: int = Field(
        8,
        ge=1,
        description="Trials that are drawn together and trained as one program. More is faster and needs more memory; "
        "fewer lets Bayesian search learn more often.",
    )
    validation: Literal["prequential", "cross_validation"] = Field(
        "prequential",
        description="What decides: the validation rows of the fold (each user's latest before the test rows), or "
        "cross-validation over train and validation rows, which ignores time.",
    )
    n_folds: int = Field(5, ge=2, description="Folds of the cross-validation; the mean over them decides.")
    seed: int = seed_field("Seed of the search, of the cross-validation and of every fit.")


@stage_asset("learning/als_sweep", needs="interactions", kinds={"optuna", "jax", "wandb"}, after=["folds/prequential"])
def als_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of regularised matrix factorisation and what it reached on the validation rows.

    Trials learn from train rows only and never see test rows. The best config is what `models/als` takes. Trials of
    one embedding size are trained together, and stopped early where the file says so; an interrupted sweep goes on
    from the trials that it had finished.
    """
    fold, spec = store.input(context, "folds/prequential"), discover()["als"]
    text = _read_sweep(Path(config.file))
    form = {**config.model_dump(), "definition": text}

    def build(directory: Path, _: Any) -> Built:
        group = f"als_sweep@{context.partition_key}"
        kept = _progress_file(group, fold, form)
        result = _run(spec, Fold.load(fold.path), text, config, kept, _announcer(tracker.open(), group, config))
        (directory / "sweep.yaml").write_text(text)
        _trial_table(result).to_parquet(directory / "trials.parquet")
        kept.unlink(missing_ok=True)
        return Built(_headline(result))

    return produce(context, store, tracker, inputs=[fold], config=form, build=build, describe=_describe)


def _read_sweep(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(found.as_posix() for found in Path("conf/sweeps").glob("*.yaml"))) or "none"
        raise SettingError(f"learning/als_sweep.file: {path} cannot be read ({error}); there are {there}") from error


def _progress_file(group: str, fold: Artifact, form: dict[str, Any]) -> Path:
    """Where finished trials are kept until the sweep ends: one file per data and settings."""
    digest = hashlib.sha256(json.dumps([fold.manifest.digest, form], sort_keys=True).encode()).hexdigest()
    folder = settings().home / "checkpoints" / "als_sweep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{group}-{digest[:12]}.jsonl"


def _run(
    spec: ModelSpec, fold: Fold, text: str, config: SweepConfig, kept: Path, announce: Callable[[Trial, Any], None]
) -> SweepResult:
    sweep = parse_sweep(text, spec.config, config.file)
    known = fold.train_and_validation
    trials = FusedTrials(known, _splits(fold, config), config.seed, sweep.metric, validation_metrics, spec.fit)

    def on_trial(trial: Trial) -> None:
        save_trial(kept, trial)
        announce(trial, sweep)

    return run_batches(sweep, trials, config.n_trials, config.seed, config.trials_at_once, load_trials(kept), on_trial)


def _splits(fold: Fold, config: SweepConfig) -> list[Split]:
    if config.validation == "cross_validation":
        return k_fold(fold.train_and_validation, config.n_folds, config.seed)
    n_train, n_known = len(fold.train), len(fold.train) + len(fold.validation)
    return [Split(train=np.arange(n_train), test=np.arange(n_train, n_known))]


def _announcer(tracker: Tracker, group: str, config: SweepConfig) -> Callable[[Trial, Any], None]:
    """Tells the step log and W&B of a trial that ended: what it reached at each rung, and then its metrics."""

    def announce(trial: Trial, sweep: Any) -> None:
        value = trial.metrics.get(sweep.metric, math.nan)
        log_progress(
            f"trial {trial.number + 1}/{config.n_trials} {trial.state} {trial.error}",
            {sweep.metric: value, "seconds": trial.seconds},
        )
        chosen = {} if trial.state == FAILED else dataclasses.asdict(parse_config(sweep.config, trial.params))
        with tracker.run(f"{group}-{trial.number}", "learning", {**trial.params, **chosen}, group=group) as run:
            for epoch, reached in sorted(trial.rungs.items()):
                run.log({"epoch": epoch, f"rung {sweep.metric}": reached})
            run.log(dict(trial.metrics))

    return announce


def _headline(result: SweepResult) -> dict[str, Any]:
    metric, states = result.sweep.metric, [trial.state for trial in result.trials]
    return {
        "trials": len(states),
        "stopped": states.count(STOPPED),
        "failed": states.count(FAILED),
        f"best_{metric}": result.best.metrics[metric],
        "best_config": dataclasses.asdict(result.best_config),
    }


def _trial_table(result: SweepResult) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.number,
            "state": trial.state,
            **trial.params,
            **trial.metrics,
            "stopped_at": max(trial.rungs) if trial.state == STOPPED else None,
            "error": trial.error,
        }
        for trial in result.trials
    ]
    return pd.DataFrame(rows).astype({"stopped_at": "Int64"})


def _describe(artifact: Artifact) -> dict[str, Any]:
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    sweep = parse_sweep((artifact.path / "sweep.yaml").read_text(), discover()["als"].config)
    name, minimise = sweep.metric, sweep.goal == "minimize"
    scores = trials[name].astype(float)
    params = [
        dict(zip(sweep.parameters, row, strict=True)) for row in trials[list(sweep.parameters)].to_numpy().tolist()
    ]
    known = np.flatnonzero(scores.notna())
    shares = importance([params[at] for at in known], scores.to_numpy()[known].tolist(), minimise)
    progress = plots.sweep_progress(scores.where(trials["state"] == FINISHED).tolist(), name, minimise)
    lines = sweep_plots.parallel_coordinates(params, scores.tolist(), name, minimise)
    bars = sweep_plots.importance_bars(shares)
    best_first = trials.sort_values(name, ascending=minimise)
    return {
        "plot of the search": picture(plots.to_png(progress), f"{name} of each trial that was not stopped"),
        "plot of the parameters": picture(plots.to_png(lines), f"parameters of each trial and its {name}"),
        "plot of importance": picture(plots.to_png(bars), "importance of each parameter, by PED-ANOVA"),
        "trials, best first": dg.MetadataValue.md(best_first.to_markdown(index=False, floatfmt=".4g")),
    }
