"""Dataset: what the source says, checked and made immutable."""

from collections.abc import Mapping
from datetime import date
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
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.dataset.schema import ITEMS, validate_items
from recsys_pipeline.core.dataset.snapshots import DayEntry, write_snapshot
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.printable import markdown_text
from recsys_pipeline.core.reports.page.pictures import image_grid
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.dataset_checks import CATALOGUE_OF_A_DAY, ROWS_OF_A_DAY
from recsys_pipeline.defs.deployed_settings import origins_in_run
from recsys_pipeline.defs.event_meaning import say_what_events_mean
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.making import recipe_of
from recsys_pipeline.defs.missing_days import tell_missing, tell_put_aside
from recsys_pipeline.defs.reads import After, Cached, Earlier, Read, Traced
from recsys_pipeline.defs.shown import log_progress, metadata_of, picture, report
from recsys_pipeline.defs.step_log import steps

INTERACTIONS, ITEMS_OF_DAY, LOOKS, SNAPSHOT = (
    "dataset/interactions", "dataset/items", "dataset/looks", "dataset/snapshot"
)  # fmt: skip


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


@asset(
    INTERACTIONS, needs="interactions", kinds={"duckdb", "parquet"}, form=IngestConfig, advisory=ROWS_OF_A_DAY,
    by_hand=True, shaped_by=ingest, reads_source=True,
)  # fmt: skip
def interactions(make: Make) -> dg.MaterializeResult:
    """One row is an event of the day: who did what to which item, when, and what it was worth.

    Rows that break the contract stand in the quarantine table beside it, with the reason. Earlier days that were
    never ingested are ingested too, so that a first run has its history, and the last `late_days` days where rows came
    late; they appear as materializations of their own partitions. An earlier day that cannot be read is left out, said
    to be missing, and tried again on the next day; where more than `max_missing_share` is missing, the run fails.
    """
    source, form, context = make.source, make.form, make.context
    found = ingest(
        make.store, source, make.day, lambda day: _recipe_of_day(make, day), run_id=context.run.run_id,
        recompute=make.recompute, max_quarantine_share=form.max_quarantine_share, late_days=form.late_days,
        reread_from=form.first_again, say=steps.info, origins=origins_in_run(context, form.model_dump()),
    )  # fmt: skip
    for artifact in found.artifacts[:-1]:
        name = artifact.manifest.recipe.partition
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=name, metadata=metadata_of(artifact)))
    amiss = {**tell_put_aside(found.artifacts), **_what_is_amiss(found)}
    result = report(found.artifacts[-1], advisory=ROWS_OF_A_DAY)
    said = say_what_events_mean(source, found.artifacts)
    missing = missing_history(make.store, source.days(), make.day, found)
    told = tell_missing(context, source.name, missing, form.max_missing_share, make.tracker)
    return result._replace(metadata={**told, **said, **amiss, **(result.metadata or {})})


def _recipe_of_day(make: Make, day: date) -> Recipe:
    told = {SOURCE: make.source.fingerprint(Window.of_day(day)), MEANING: make.source.meaning.document()}
    # What is left out decides on the run, not on a day's content.
    settings = {**make.form.model_dump(exclude={"max_missing_share", "reread_from"}), **told}
    return recipe_of(interactions, make, day.isoformat(), settings)


def _of_items(make: Make) -> Mapping[str, Any]:
    return {**make.form.model_dump(), SOURCE: make.source.fingerprint(make.window, "items")}


def _of_looks(make: Make) -> Mapping[str, Any]:
    return {**make.form.model_dump(), SOURCE: make.source.fingerprint(make.window, "looks")}


def _describe_items(_: Make, artifact: Artifact) -> dict[str, Any]:
    """The ten largest categories, by an item's first."""
    items = pd.read_parquet(artifact.path / "items.parquet", columns=["item_id", "categories", "price", "available"])
    items["category"] = items["categories"].str[0]
    table = items.groupby("category").agg(
        items=("item_id", "size"), available=("available", "mean"), median_price=("price", "median")
    )
    largest = table.sort_values("items", ascending=False, kind="stable").head(10).rename(index=markdown_text)
    return {"largest categories": dg.MetadataValue.md(largest.to_markdown(floatfmt=".4g"))} if len(largest) else {}


def _describe_looks(_: Make, artifact: Artifact) -> dict[str, Any]:
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


@asset(
    ITEMS_OF_DAY, needs="items", kinds={"duckdb", "parquet"}, form=ItemsConfig, settings=_of_items,
    describe=_describe_items, advisory=CATALOGUE_OF_A_DAY, reads_source=True,
)  # fmt: skip
def items(make: Make) -> Built:
    """One row is an item of the catalogue as it was at the end of the day; too many bad rows fail."""
    end = make.window.end
    checked = validate_items(make.source.items(end), end)
    checked.check_share("items", make.form.max_quarantine_share)
    pq.write_table(checked.clean, make.directory / "items.parquet", compression="zstd")
    pq.write_table(checked.quarantine, make.directory / "quarantine.parquet")
    if checked.quarantine.num_rows:
        first = checked.quarantine.slice(0, 1).to_pylist()[0]
        steps.warning("  %d items are put aside, as row %s of %s: %s", checked.quarantine.num_rows,
                      first["source_row"], first["source_file"], first["reason"])  # fmt: skip
    return Built({"rows": checked.clean.num_rows, "quarantined": checked.quarantine.num_rows})


@asset(
    LOOKS, needs="looks", kinds={"numpy", "parquet"}, reads=[Read(ITEMS_OF_DAY, needs="items"), Cached(LOOKS)],
    form=LooksConfig, settings=_of_looks, describe=_describe_looks, reads_source=True,
)  # fmt: skip
def looks(make: Make) -> Built:
    """One row is a product that stands in a scene; every image of the looks and of the catalogue is decoded once.

    Images that did not change since an earlier day are taken from it, as they are.
    """
    catalogue, form = make.one(ITEMS_OF_DAY), make.form
    table = pq.read_table(catalogue.path / "items.parquet") if catalogue else ITEMS.empty_table()
    summary = write_looks(
        make.source, make.source.looks(make.window.end), table, make.directory, form.image_size, log_progress,
        make.cached(LOOKS), form.max_quarantine_share, form.max_defect_share,
    )  # fmt: skip
    return Built(vars(summary))


def _day_files(make: Make) -> tuple[list[Artifact], list[DayEntry]]:
    return day_entries(make.store, make.day)


def _fresh_days(make: Make) -> list[Artifact]:
    """Day files that the earlier snapshot does not list: it stands for the others, so that lineage costs O(day)."""
    earlier = make.earlier(SNAPSHOT)
    listed = {entry.path for entry in open_snapshot(make.store, earlier).days} if earlier else set()
    return [one for one, entry in zip(*make.once(_day_files), strict=True) if entry.path not in listed]


def _of_snapshot(make: Make) -> Mapping[str, Any]:
    return {MEANING: make.source.meaning.events.document()}


@asset(
    SNAPSHOT, kinds={"duckdb"}, settings=_of_snapshot,
    reads=[
        After(INTERACTIONS), Earlier(SNAPSHOT), Traced("fresh days", trace=_fresh_days),
    ],
)  # fmt: skip
def snapshot(make: Make) -> Built:
    """One row is a day file that was known at the end of the day; with the ids that this day saw first."""
    day_files, entries = make.once(_day_files)
    refuse_other_meaning(make.source, day_files)
    earlier = make.earlier(SNAPSHOT)
    previous = open_snapshot(make.store, earlier) if earlier else None
    made = write_snapshot(make.directory, make.store.local_root, entries, previous, make.source.meaning.events)
    return Built({"days": len(made.days), "rows": made.rows, "users": made.n_users, "items": made.n_items}, made.digest)


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
