"""The report on items that were new that day: nobody had interacted with them before it."""

from typing import Any

import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import with_unseen
from recsys_pipeline.core.reports.cold_start.new_items import FULL, PLACEMENTS
from recsys_pipeline.core.reports.cold_start.report import (
    PRIMARY,
    NewItemsConfig,
    NewItemsReport,
    report_new_items,
)
from recsys_pipeline.core.reports.cold_start.section import SEEN, recent_estimates
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.item_images import PHOTOS
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.reads import Earlier, Read
from recsys_pipeline.defs.released import released, released_key
from recsys_pipeline.defs.reports.day_by_day import fit_as
from recsys_pipeline.defs.shown import picture, seed_field

KEY = "reports/new_items"
NewItemsForm = config_form(NewItemsConfig, seed=(int, seed_field("Seed of fits and resampling.")))


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    report = NewItemsReport.load(artifact.path)
    return {
        f"plot of {metric} {placement}": picture(
            plots.to_png(plots.leaderboard(recent_estimates(report, placement), metric, k)), f"{metric} {placement}"
        )
        for placement in PLACEMENTS
        for metric, k in ([SEEN] if placement == FULL else [PRIMARY])
    }


@asset(
    KEY, kinds={"jax", "python"}, form=NewItemsForm, describe=_describe,
    reads=[
        Read("dataset/snapshot"), Read("dataset/items"), Read(released_key()), Read("models/cold_start"), *PHOTOS,
        Earlier(KEY),
    ],
)  # fmt: skip
def new_items(make: Make) -> Built:
    """One row is a figure of a way to place items without interactions, on what people chose of them that day.

    The released model and mappers are fitted anew, with the settings of the day's models, on what came before the day.
    """
    snapshot, earlier = open_snapshot(make.store, make["dataset/snapshot"]), make.earlier(KEY)
    items = pq.read_table(make["dataset/items"].path / "items.parquet", columns=["item_id"])
    report = report_new_items(
        lambda window: snapshot.ratings(until=window.start),
        make.day,
        features_of(with_unseen(snapshot.item_ids.tolist(), items), make.reads),
        fit_as(released().name, make[released_key()], make.form.seed),
        _mapping(make["models/cold_start"]),
        from_form(NewItemsConfig, make.form),
        make.form.seed,
        NewItemsReport.load(earlier.path) if earlier else None,
    )
    report.save(make.directory)
    return Built(_headline(report))


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
