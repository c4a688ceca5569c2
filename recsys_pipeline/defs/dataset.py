"""Dataset: what the source says, checked and made immutable."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import Ingested, day_entries, ingest, open_snapshot
from recsys_pipeline.adapters.intake.late_rows import LATE_DAYS
from recsys_pipeline.adapters.intake.meaning_of_days import MEANING, refuse_other_meaning
from recsys_pipeline.adapters.intake.missing_history import MAX_MISSING_SHARE, missing_history
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.dataset.schema import ITEMS, validate_items
from recsys_pipeline.core.dataset.snapshots import write_snapshot
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.printable import markdown_text
from recsys_pipeline.core.reports.page.pictures import image_grid
from recsys_pipeline.core.types import Window
from recsys_pipeline.defs.dataset_checks import CATALOGUE_OF_A_DAY, ROWS_OF_A_DAY
from recsys_pipeline.defs.deployed_settings import origins_in_run
from recsys_pipeline.defs.event_meaning import say_what_events_mean
from recsys_pipeline.defs.missing_days import tell_missing, tell_put_aside
from recsys_pipeline.defs.partitions import day_of
from recsys_pipeline.defs.production import (
    log_progress,
    make_recipe,
    metadata_of,
    picture,
    produce,
    report,
    stage_asset,
    steps,
)
from recsys_pipeline.defs.resources import SourceResource, StoreResource, TrackerResource, configured_source


class IngestConfig(dg.Config):
    """How strict ingestion is, and how long it waits for late rows."""

    max_quarantine_share: float = Field(0.01, ge=0, le=1, description="Fail where a larger share of rows is bad.")
    late_days: int = Field(
        LATE_DAYS, ge=0, le=60, description="Days before this one that are read again where the source has changed."
    )
    max_missing_share: float = Field(
        MAX_MISSING_SHARE, ge=0, le=1,
        description="Fail where more of the history's days, or rows, cannot be read; a single day may always be.",
    )  # fmt: skip
    reread_from: str = Field(
        "", description="First of the days up to this one that are read again, whatever is there; empty: none."
    )

    @property
    def first_again(self) -> date | None:
        """`reread_from` as a day; raises `SettingError` where it is none."""
        try:
            return date.fromisoformat(self.reread_from) if self.reread_from else None
        except ValueError:
            raise SettingError(f"reread_from is {self.reread_from!r}: write a day as 2026-01-05") from None


class ItemsConfig(dg.Config):
    """How strict the catalogue is."""

    max_quarantine_share: float = Field(0.01, ge=0, le=1, description="Fail where a larger share of rows is bad.")


class LooksConfig(dg.Config):
    """How looks are decoded."""

    image_size: int = Field(64, ge=16, le=512, multiple_of=16, description="Pixels per side of the decoded images.")
    max_quarantine_share: float = Field(
        0.5, ge=0, le=1, description="Fail where a larger share of looks cannot be used, for want of an image say."
    )
    max_defect_share: float = Field(0.01, ge=0, le=1, description="Fail where a larger share breaks the contract.")


@stage_asset("dataset/interactions", needs="interactions", kinds={"duckdb", "parquet"}, advisory=ROWS_OF_A_DAY)
def interactions(
    context: dg.AssetExecutionContext, config: IngestConfig, source: SourceResource, store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:  # fmt: skip
    """One row is an event of the day: who did what to which item, when, and what it was worth.

    Rows that break the contract stand in the quarantine table beside it, with the reason. Earlier days that were
    never ingested are ingested too, so that a first run has its history, and the last `late_days` days where rows came
    late; they appear as materializations of their own partitions. An earlier day that cannot be read is left out, said
    to be missing, and tried again on the next day; where more than `max_missing_share` is missing, the run fails.
    """
    opened, day = source.open(), day_of(context)

    def recipe_of(day: date) -> Recipe:
        told = {SOURCE: opened.fingerprint(Window.of_day(day)), MEANING: opened.meaning.document()}
        # What is left out decides on the run, not on a day's content.
        settings = {**config.model_dump(exclude={"max_missing_share", "reread_from"}), **told}
        return make_recipe("dataset/interactions", day.isoformat(), [], settings)

    found = ingest(
        store.open(), opened, day, recipe_of, run_id=context.run.run_id, recompute=store.recompute,
        max_quarantine_share=config.max_quarantine_share, late_days=config.late_days, reread_from=config.first_again,
        say=steps.info, origins=origins_in_run(context, config.model_dump()),
    )  # fmt: skip
    for artifact in found.artifacts[:-1]:
        name = artifact.manifest.recipe.partition
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=name, metadata=metadata_of(artifact)))
    amiss = {**tell_put_aside(found.artifacts), **_what_is_amiss(found)}
    result = report(found.artifacts[-1], advisory=ROWS_OF_A_DAY)
    said = say_what_events_mean(opened, found.artifacts)
    missing = missing_history(store.open(), opened.days(), day, found)
    told = tell_missing(context, opened.name, missing, config.max_missing_share, tracker.open())
    return result._replace(metadata={**told, **said, **amiss, **(result.metadata or {})})


@stage_asset("dataset/items", needs="items", kinds={"duckdb", "parquet"}, advisory=CATALOGUE_OF_A_DAY)
def items(
    context: dg.AssetExecutionContext, config: ItemsConfig, source: SourceResource, store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:  # fmt: skip
    """One row is an item of the catalogue as it was at the end of the day; too many bad rows fail."""
    opened, window = source.open(), Window.of_day(day_of(context))

    def build(directory: Path, _: TrackedRun) -> Built:
        checked = validate_items(opened.items(window.end), window.end)
        checked.check_share("items", config.max_quarantine_share)
        pq.write_table(checked.clean, directory / "items.parquet", compression="zstd")
        pq.write_table(checked.quarantine, directory / "quarantine.parquet")
        if checked.quarantine.num_rows:
            first = checked.quarantine.slice(0, 1).to_pylist()[0]
            steps.warning("  %d items are put aside, as row %s of %s: %s", checked.quarantine.num_rows,
                          first["source_row"], first["source_file"], first["reason"])  # fmt: skip
        return Built({"rows": checked.clean.num_rows, "quarantined": checked.quarantine.num_rows})

    settings = {**config.model_dump(), "source": opened.fingerprint(window, "items")}
    return produce(
        context, store, tracker, inputs=[], config=settings, build=build, describe=_describe_items,
        advisory=CATALOGUE_OF_A_DAY,
    )  # fmt: skip


CATALOGUE = ["dataset/items"] if "items" in configured_source().provides else []
"""What a source of looks may have beside them."""


@stage_asset("dataset/looks", needs="looks", kinds={"numpy", "parquet"}, after=CATALOGUE)
def looks(
    context: dg.AssetExecutionContext, config: LooksConfig, source: SourceResource, store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:  # fmt: skip
    """One row is a product that stands in a scene; every image of the looks and of the catalogue is decoded once.

    Images that did not change since an earlier day are taken from it, as they are.
    """
    opened, window = source.open(), Window.of_day(day_of(context))
    catalogue = [store.input(context, key) for key in CATALOGUE]
    earlier = None if store.recompute else store.open().latest("dataset/looks", before=context.partition_key)

    def build(directory: Path, _: TrackedRun) -> Built:
        table = pq.read_table(catalogue[0].path / "items.parquet") if catalogue else ITEMS.empty_table()
        summary = write_looks(
            opened, opened.looks(window.end), table, directory, config.image_size, log_progress,
            earlier.path if earlier and earlier.has_all_files() else None, config.max_quarantine_share,
            config.max_defect_share,
        )  # fmt: skip
        return Built(vars(summary))

    settings = {**config.model_dump(), "source": opened.fingerprint(window, "looks")}
    return produce(context, store, tracker, inputs=catalogue, config=settings, build=build, describe=_describe_looks)


@stage_asset("dataset/snapshot", needs="interactions", kinds={"duckdb"}, after=["dataset/interactions"])
def snapshot(
    context: dg.AssetExecutionContext, source: SourceResource, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a day file that was known at the end of the day; with the ids that this day saw first."""
    opened, day = store.open(), day_of(context)
    day_files, entries = day_entries(opened, day)
    refuse_other_meaning(source.open(), day_files)
    meaning = source.open().meaning.events
    earlier = opened.latest("dataset/snapshot", before=context.partition_key)
    previous = open_snapshot(opened, earlier) if earlier else None

    def build(directory: Path, _: TrackedRun) -> Built:
        made = write_snapshot(directory, opened.local_root, entries, previous, meaning)
        return Built(
            {"days": len(made.days), "rows": made.rows, "users": made.n_users, "items": made.n_items}, made.digest
        )

    # The earlier snapshot stands for the days that it lists, so that lineage costs O(day) too.
    listed = {entry.path for entry in previous.days} if previous else set()
    fresh = [artifact for artifact, entry in zip(day_files, entries, strict=True) if entry.path not in listed]
    inputs = [*fresh, *([earlier] if earlier else [])]
    return produce(context, store, tracker, inputs=inputs, config={MEANING: meaning.document()}, build=build)


def _what_is_amiss(found: Ingested) -> dict[str, Any]:
    """Days left out and rows that came too late, as a warning in the step log and as metadata."""
    failed = {day.isoformat(): reason for day, reason in found.failed.items()}
    too_late = {day.isoformat(): rows for day, rows in found.too_late.items()}
    for day, reason in failed.items():
        steps.warning("  %s is left out, since it cannot be read: %s", day, reason)
    for day, rows in too_late.items():
        said = f"{rows:+d} rows" if rows else "other rows, as many"
        steps.warning("  %s is closed, and the source now has %s: `recsys reingest %s..%s`", day, said, day, day)
    shown = {"days left out": failed, "rows too late, by day": too_late}
    return {name: dg.MetadataValue.json(value) for name, value in shown.items() if value}


def _describe_items(artifact: Artifact) -> dict[str, Any]:
    """The ten largest categories, by an item's first."""
    items = pd.read_parquet(artifact.path / "items.parquet", columns=["item_id", "categories", "price", "available"])
    items["category"] = items["categories"].str[0]
    table = items.groupby("category").agg(
        items=("item_id", "size"), available=("available", "mean"), median_price=("price", "median")
    )
    largest = table.sort_values("items", ascending=False, kind="stable").head(10).rename(index=markdown_text)
    return {"largest categories": dg.MetadataValue.md(largest.to_markdown(floatfmt=".4g"))} if len(largest) else {}


def _describe_looks(artifact: Artifact) -> dict[str, Any]:
    """Products and scenes spread over the catalogue, as the models see them."""
    data = LookData.load(artifact.path)
    products, scenes = (
        np.linspace(0, len(images) - 1, min(len(images), n)).astype(int)
        for images, n in ((data.product_images, 24), (data.scene_images, 12))
    )
    titles = [data.categories[data.product_category[row]] for row in products]
    return {
        name: picture(png, name)
        for name, png in (
            ("sample products", image_grid([data.product_images[row] for row in products], titles)),
            ("sample scenes", image_grid([data.scene_images[row] for row in scenes], [""] * len(scenes), columns=6)),
        )
    }
