"""Learning: sweeps that find the configs which the daily models take."""

import dataclasses
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from recsys_pipeline.adapters.store import Artifact, Built
from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.learning.sweeps import SweepResult, Trial, parse_sweep, run_sweep
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.accuracy.validation import validation_metrics
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource


class SweepConfig(dg.Config):
    """Which sweep to run and how long."""

    file: str = Field("conf/sweeps/als_ndcg.yaml", description="A sweep YAML in W&B's format; its metric decides.")
    n_trials: int = Field(20, ge=1, description="Trials at most.")
    seed: int = seed_field("Seed of the search and of every fit.")


@stage_asset("learning/als_sweep", needs="interactions", kinds={"optuna", "jax", "wandb"}, after=["folds/prequential"])
def als_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of regularised matrix factorisation and what it reached on the validation rows.

    Trials learn from train rows only and never see test rows. The best config is what `models/als` takes.
    """
    fold, spec = store.input(context, "folds/prequential"), discover()["als"]
    text = _read_sweep(Path(config.file))
    settings = {**config.model_dump(), "definition": text}

    def build(directory: Path, _: Any) -> Built:
        result = _run(spec, Fold.load(fold.path), text, config, tracker.open(), f"als_sweep@{context.partition_key}")
        (directory / "sweep.yaml").write_text(text)
        _trial_table(result).to_parquet(directory / "trials.parquet")
        metric = result.sweep.metric
        return Built(
            {
                "trials": len(result.trials),
                "failed": sum(trial.state != "finished" for trial in result.trials),
                f"best_{metric}": result.best.metrics[metric],
                "best_config": dataclasses.asdict(result.best_config),
            }
        )

    return produce(context, store, tracker, inputs=[fold], config=settings, build=build, describe=_describe)


def _read_sweep(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(found.as_posix() for found in Path("conf/sweeps").glob("*.yaml"))) or "none"
        raise SettingError(f"learning/als_sweep.file: {path} cannot be read ({error}); there are {there}") from error


def _run(spec: ModelSpec, fold: Fold, text: str, config: SweepConfig, tracker: Tracker, group: str) -> SweepResult:
    sweep = parse_sweep(text, spec.config, config.file)

    def objective(model_config: Any, number: int) -> dict[str, float]:
        with tracker.run(f"{group}-{number}", "learning", dataclasses.asdict(model_config), group=group) as run:
            model = spec.fit(fold.train, model_config, config.seed)
            metrics = validation_metrics(model, fold.train, fold.validation)
            run.log(metrics)
            return metrics

    def announce(trial: Trial) -> None:
        shown = {sweep.metric: trial.metrics.get(sweep.metric, float("nan")), "seconds": trial.seconds}
        log_progress(f"trial {trial.number + 1}/{config.n_trials} {trial.state} {trial.error}", shown)

    return run_sweep(sweep, objective, config.n_trials, config.seed, on_trial=announce)


def _trial_table(result: SweepResult) -> pd.DataFrame:
    rows = [
        {"trial": trial.number, "state": trial.state, **trial.params, **trial.metrics, "error": trial.error}
        for trial in result.trials
    ]
    return pd.DataFrame(rows)


def _describe(artifact: Artifact) -> dict[str, Any]:
    trials = pd.read_parquet(artifact.path / "trials.parquet")
    sweep = parse_sweep((artifact.path / "sweep.yaml").read_text(), discover()["als"].config)
    name, minimise = sweep.metric, sweep.goal == "minimize"
    best_first = trials.sort_values(name, ascending=minimise)
    figure = plots.sweep_progress(trials[name].tolist(), name, minimise)
    return {
        "plot of the search": picture(plots.to_png(figure), f"{name} of each trial"),
        "trials, best first": dg.MetadataValue.md(best_first.to_markdown(index=False, floatfmt=".4g")),
    }
