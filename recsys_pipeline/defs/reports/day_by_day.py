"""The prequential curve: each day by models that know only what came before it."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.reports.accuracy.day_by_day import DayByDayConfig, DayFigure, KnownUntil, continue_curve
from recsys_pipeline.core.reports.accuracy.day_by_day_section import age_figure, curve_figure
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.types import Ratings
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.models import fitted_config
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

KEY, FIGURES = "reports/day_by_day", "figures.parquet"
PREDICTORS = ("popularity", "als")
SEED = seed_field("Seed of fits and resampling.")
DayByDayForm = config_form(DayByDayConfig, seed=(int, SEED))


@stage_asset(
    KEY, needs="interactions", kinds={"jax", "python"},
    after=["dataset/snapshot", *(f"models/{name}" for name in PREDICTORS)],
)  # fmt: skip
def day_by_day(
    context: dg.AssetExecutionContext,
    config: DayByDayForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a figure of a model on one day, predicted with nothing but what came before: test, then train.

    Continues the curve of the newest earlier report. Models are fitted anew with the settings of the day's models.
    """
    data = store.input(context, "dataset/snapshot")
    models = {name: store.input(context, f"models/{name}") for name in PREDICTORS}
    earlier = store.open().latest(KEY, before=context.partition_key)

    def build(directory: Path, _: TrackedRun) -> Built:
        snapshot = open_snapshot(store.open(), data, events=True)
        known: KnownUntil = lru_cache(3)(lambda window: snapshot.ratings(until=window.start))
        fits = {name: fit_as(name, artifact, config.seed) for name, artifact in models.items()}
        day, first = date.fromisoformat(context.partition_key), date.fromisoformat(snapshot.days[0].day)
        figures = load_records(DayFigure, earlier.path / FIGURES) if earlier else []
        settings = from_form(DayByDayConfig, config)
        figures = continue_curve(figures, day, first, known, fits, settings, config.seed, log_progress)
        save_records(figures, directory / FIGURES)
        return Built({"days": len({row.day for row in figures}), **_headline(figures, context.partition_key)})

    inputs = [data, *models.values(), *([earlier] if earlier else [])]
    return produce(context, store, tracker, inputs=inputs, config=config, build=build, describe=_describe)


def fit_as(name: str, artifact: Artifact, seed: int) -> Callable[[Ratings], Any]:
    """Fits a model with the settings that the day's model has."""
    spec, config = discover()[name], fitted_config(artifact)

    def fit(train: Ratings) -> Any:
        return spec.fit(train, config, seed)

    return fit


def _headline(figures: list[DayFigure], day: str) -> dict[str, float]:
    return {
        f"{row.model}_{row.metric}@{row.k}_age{row.age_days}{'_folded_in' if row.is_folded_in else ''}": row.value
        for row in figures
        if row.day == day
    }


def _describe(artifact: Artifact) -> dict[str, Any]:
    figures = load_records(DayFigure, artifact.path / FIGURES)
    curve = curve_figure([row for row in figures if row.age_days == 0])
    aged = age_figure([row for row in figures if row.day == artifact.manifest.recipe.partition])
    return {
        "plot day by day": picture(plots.to_png(curve), "NDCG@10 of each day, predicted by the day before"),
        "plot by age of the model": picture(plots.to_png(aged), "NDCG@10 by age of the model"),
    }
