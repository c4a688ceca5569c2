"""The prequential curve: each day by models that know only what came before it."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.day_by_day import DayByDayConfig, DayFigure, KnownUntil, continue_curve
from recsys_pipeline.core.reports.accuracy.day_by_day_section import age_figure, curve_figure
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import fitted_config
from recsys_pipeline.defs.reads import Earlier, Read
from recsys_pipeline.defs.released import released
from recsys_pipeline.defs.shown import log_progress, picture, seed_field

KEY, FIGURES = "reports/day_by_day", "figures.parquet"
PREDICTORS = ("popularity", released().name)
SEED = seed_field("Seed of fits and resampling.")
DayByDayForm = config_form(DayByDayConfig, seed=(int, SEED))


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    figures = load_records(DayFigure, artifact.path / FIGURES)
    curve = curve_figure([row for row in figures if row.age_days == 0])
    aged = age_figure([row for row in figures if row.day == artifact.manifest.recipe.partition])
    return {
        "plot day by day": picture(plots.to_png(curve), "NDCG@10 of each day, predicted by the day before"),
        "plot by age of the model": picture(plots.to_png(aged), "NDCG@10 by age of the model"),
    }


@asset(
    KEY, kinds={"jax", "python"}, form=DayByDayForm, describe=_describe,
    reads=[Read("dataset/snapshot"), *(Read(f"models/{name}") for name in PREDICTORS), Earlier(KEY)],
)  # fmt: skip
def day_by_day(make: Make) -> Built:
    """One row is a figure of a model on one day, predicted with nothing but what came before: test, then train.

    Continues the curve of the newest earlier report. Models are fitted anew with the settings of the day's models.
    """
    snapshot, earlier, seed = (
        open_snapshot(make.store, make["dataset/snapshot"], events=True),
        make.earlier(KEY),
        make.form.seed,
    )
    known: KnownUntil = lru_cache(3)(lambda window: snapshot.ratings(until=window.start))
    fits = {name: fit_as(name, make[f"models/{name}"], seed) for name in PREDICTORS}
    figures = load_records(DayFigure, earlier.path / FIGURES) if earlier else []
    first, config = date.fromisoformat(snapshot.days[0].day), from_form(DayByDayConfig, make.form)
    figures = continue_curve(figures, make.day, first, known, fits, config, seed, log_progress)
    save_records(figures, make.directory / FIGURES)
    return Built({"days": len({row.day for row in figures}), **_headline(figures, make.partition)})


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
