"""Learning: sweeps that find the configs which the daily models take."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field

from recsys_pipeline.adapters.store import Artifact, Built
from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Fold, Split
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.learning.looks.sweep_trials import LookTrials
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials
from recsys_pipeline.core.learning.sweeps.importance import importance
from recsys_pipeline.core.learning.sweeps.sweep import RunTrials, Sweep, SweepResult, Trial, parse_sweep, run_batches
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


class StlSweepConfig(dg.Config):
    """Which sweep of shop-the-look to run and how long."""

    file: str = Field("conf/sweeps/stl.yaml", description="A sweep YAML in W&B's format; its metric decides.")
    n_trials: int = Field(8, ge=1, description="Trials at most; each is a whole training.")
    seed: int = seed_field("Seed of the search and of every fit.")


Trials = Callable[[Sweep], RunTrials]
"""What runs the trials of a sweep."""


@stage_asset("learning/als_sweep", needs="interactions", kinds={"optuna", "jax", "wandb"}, after=["folds/prequential"])
def als_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of regularised matrix factorisation and what it reached on the validation rows.

    Trials learn from train rows only and never see test rows. The best config is what `models/als` takes. Trials of
    one embedding size are trained together, and stopped early where the file says so; an interrupted sweep goes on
    from the trials that it had finished.
    """
    inputs = [store.input(context, "folds/prequential")]

    def trials(sweep: Sweep) -> RunTrials:
        fold = Fold.load(inputs[0].path)
        known, splits = fold.train_and_validation, _splits(fold, config)
        return FusedTrials(known, splits, config.seed, sweep.metric, validation_metrics, discover()["als"].fit)

    return _sweep(context, config, store, tracker, inputs, trials, config.trials_at_once)


@stage_asset(
    "learning/stl_sweep", needs="looks", kinds={"optuna", "jax", "wandb"}, after=["folds/triplets", "dataset/looks"]
)
def stl_sweep(
    context: dg.AssetExecutionContext, config: StlSweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of shop the look and what it reached on pairs of validation scenes.

    Trials learn from train scenes only and never see test scenes. The best config is what `models/stl` takes. Trials
    are stopped early where the file says so; an interrupted sweep goes on from the trials that it had finished.
    """
    inputs = [store.input(context, key) for key in ("folds/triplets", "dataset/looks")]

    def trials(sweep: Sweep) -> RunTrials:
        train = LookFolds.load(inputs[0].path).for_training(LookData.load(inputs[1].path))
        return LookTrials(discover()["stl"].fit, train, config.seed, sweep.metric)

    return _sweep(context, config, store, tracker, inputs, trials)


def _sweep(
    context: dg.AssetExecutionContext,
    config: SweepConfig | StlSweepConfig,
    store: StoreResource,
    tracker: TrackerResource,
    inputs: list[Artifact],
    trials: Trials,
    at_once: int = 1,
) -> dg.MaterializeResult:
    """Run the sweep that the file defines over the config of the model that the asset is named after."""
    key = context.asset_key.path[-1]
    spec, text = discover()[key.removesuffix("_sweep")], _read_sweep(config.file, key)
    form = {**config.model_dump(), "definition": text}

    def build(directory: Path, _: Any) -> Built:
        group, sweep = f"{key}@{context.partition_key}", parse_sweep(text, spec.config, config.file)
        kept, announce = _progress_file(key, group, inputs, form), _announcer(tracker.open(), group, config, sweep)

        def on_trial(trial: Trial) -> None:
            save_trial(kept, trial)
            announce(trial)

        run, known = trials(sweep), load_trials(kept)
        result = run_batches(sweep, run, config.n_trials, config.seed, at_once, known, on_trial)
        (directory / "sweep.yaml").write_text(text)
        _trial_table(result).to_parquet(directory / "trials.parquet")
        kept.unlink(missing_ok=True)
        return Built(_headline(result))

    describe = partial(_describe, spec)
    return produce(context, store, tracker, inputs=inputs, config=form, build=build, describe=describe)


def _read_sweep(file: str, key: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(found.as_posix() for found in Path("conf/sweeps").glob("*.yaml"))) or "none"
        raise SettingError(f"learning/{key}.file: {file} cannot be read ({error}); there are {there}") from error


def _progress_file(key: str, group: str, inputs: list[Artifact], form: dict[str, Any]) -> Path:
    """Where finished trials are kept until the sweep ends: one file per data and settings."""
    facts = [*(artifact.manifest.digest for artifact in inputs), form]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    folder = settings().home / "checkpoints" / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{group}-{digest[:12]}.jsonl"


def _splits(fold: Fold, config: SweepConfig) -> list[Split]:
    if config.validation == "cross_validation":
        return k_fold(fold.train_and_validation, config.n_folds, config.seed)
    n_train, n_known = len(fold.train), len(fold.train) + len(fold.validation)
    return [Split(train=np.arange(n_train), test=np.arange(n_train, n_known))]


def _announcer(
    tracker: Tracker, group: str, config: SweepConfig | StlSweepConfig, sweep: Sweep
) -> Callable[[Trial], None]:
    """Tells the step log and W&B of a trial that ended: what it reached at each rung, and then its metrics."""

    def announce(trial: Trial) -> None:
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


def _describe(spec: ModelSpec, artifact: Artifact) -> dict[str, Any]:
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    sweep = parse_sweep((artifact.path / "sweep.yaml").read_text(), spec.config)
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
