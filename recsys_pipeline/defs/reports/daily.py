"""The page of the day, put together from what the other reports stored."""

from pathlib import Path
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.report_folder import publish_page
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.reports.page.page import ReportData, counts, render_page
from recsys_pipeline.defs.item_images import IMAGES
from recsys_pipeline.defs.item_images import NEED as ITEM_IMAGES
from recsys_pipeline.defs.production import page_link, produce, stage_asset
from recsys_pipeline.defs.reports.day_sections import DayInputs, day_sections, headline_of
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source, report_folder
from recsys_pipeline.settings import settings

DAILY_INPUTS = {
    "interactions": ["dataset/snapshot", "folds/prequential", "neighbors/als_vectors", "neighbors/als_index",
                     "reports/ranking", "reports/day_by_day", "reports/drift", "reports/off_policy"],
    "looks": ["dataset/looks", "folds/triplets", "models/stl", "reports/looks", "neighbors/stl_index"],
    "reports": ["reports/parity"],
    "items": ["dataset/items"],
    ITEM_IMAGES: [IMAGES],
    "interactions.items": ["reports/new_items", "neighbors/cold_vectors"],
}  # fmt: skip
PROVIDED = configured_source().provides | {"reports"}
AVAILABLE = [key for needs, keys in DAILY_INPUTS.items() if {*needs.split(".")} <= PROVIDED for key in keys]
KEY = "reports/daily"


@stage_asset(KEY, needs="reports", kinds={"html"}, after=AVAILABLE)
def daily(context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource) -> dg.MaterializeResult:
    """One row is a section of the day's page: one HTML file that opens anywhere, with everything of the day in it.

    All days stand beside an index in `<RECSYS_HOME>/reports/<source>`, which `make ui` serves where `RECSYS_REPORTS_AT`
    says; each page also opens from the file alone.
    """
    opened, source = store.open(), configured_source().name
    inputs = {key: store.input(context, key) for key in AVAILABLE}
    earlier = opened.latest("reports/ranking", before=context.partition_key) if "reports/ranking" in inputs else None
    day = DayInputs(context.partition_key, inputs, earlier, opened)

    def build(directory: Path, _: TrackedRun) -> Built:
        root = inputs.get("dataset/snapshot") or inputs["dataset/looks"]
        sections = tuple(day_sections(day))
        page = ReportData(source, day.day, root.manifest.digest, counts(day.counts()), sections)
        (directory / "index.html").write_text(render_page(page), encoding="utf-8")
        return Built({"sections": len(sections), **headline_of(day)})

    def describe(artifact: Artifact) -> dict[str, Any]:
        index = publish_page(opened, artifact, report_folder(settings(), source), source).absolute()
        page = index.with_name(f"{day.day}.html")
        return {**page_link("page", page), **page_link("all days", index)}

    sources = [*inputs.values(), *([earlier] if earlier else [])]
    return produce(context, store, tracker, inputs=sources, config={}, build=build, describe=describe)
