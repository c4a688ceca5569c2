"""The report on items that were new that day: nobody had interacted with them before it."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import with_unseen
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.reports.cold_start.new_items import FULL, PLACEMENTS
from recsys_pipeline.core.reports.cold_start.report import (
    PRIMARY,
    NewItemsConfig,
    NewItemsReport,
    report_new_items,
)
from recsys_pipeline.core.reports.cold_start.section import SEEN, recent_estimates
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.item_images import PHOTOS
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.production import picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.reports.day_by_day import fit_as
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

KEY = "reports/new_items"
NewItemsForm = config_form(NewItemsConfig, seed=(int, seed_field("Seed of fits and resampling.")))
INPUTS = ["dataset/snapshot", "dataset/items", "models/als", "models/cold_start", *PHOTOS]


@stage_asset(KEY, needs="interactions.items", kinds={"jax", "python"}, after=INPUTS)
def new_items(
    context: dg.AssetExecutionContext,
    config: NewItemsForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a figure of a way to place items without interactions, on what people chose of them that day.

    Factorisation and mappers are fitted anew, with the settings of the day's models, on what came before the day.
    """
    inputs = {key: store.input(context, key) for key in INPUTS}
    earlier = store.open().latest(KEY, before=context.partition_key)

    def build(directory: Path, _: TrackedRun) -> Built:
        snapshot = open_snapshot(store.open(), inputs["dataset/snapshot"])
        items = pq.read_table(inputs["dataset/items"].path / "items.parquet", columns=["item_id"])
        report = report_new_items(
            lambda window: snapshot.ratings(until=window.start),
            date.fromisoformat(context.partition_key),
            features_of(with_unseen(snapshot.item_ids.tolist(), items), inputs),
            fit_as("als", inputs["models/als"], config.seed),
            _mapping(inputs["models/cold_start"]),
            from_form(NewItemsConfig, config),
            config.seed,
            NewItemsReport.load(earlier.path) if earlier else None,
        )
        report.save(directory)
        return Built(_headline(report))

    sources = [*inputs.values(), *([earlier] if earlier else [])]
    return produce(context, store, tracker, inputs=sources, config=config, build=build, describe=_describe)


def _mapping(artifact: Artifact) -> ColdStartConfig:
    """The settings of the day's mapper."""
    settings = {name: value for name, value in artifact.manifest.recipe.config.items() if name != "seed"}
    return parse_config(ColdStartConfig, settings, artifact.manifest.recipe.key)


def _headline(report: NewItemsReport) -> dict[str, Any]:
    today, (among, full) = report.today, PLACEMENTS
    figures = {(row.placement, row.metric, row.k): row.value for row in report.figures if row.scope == "day"
               and row.model == (today.mapper or "category_mean")}  # fmt: skip
    return {
        "new_items": today.new_items, "chosen_pairs": today.pairs, "mapper": today.mapper or "none",
        "auc_among_new": figures[among, *PRIMARY], "recall@100": figures[full, *SEEN], "reason": today.reason or "-",
    }  # fmt: skip


def _describe(artifact: Artifact) -> dict[str, Any]:
    report = NewItemsReport.load(artifact.path)
    return {
        f"plot of {metric} {placement}": picture(
            plots.to_png(plots.leaderboard(recent_estimates(report, placement), metric, k)), f"{metric} {placement}"
        )
        for placement in PLACEMENTS
        for metric, k in ([SEEN] if placement == FULL else [PRIMARY])
    }
