"""The page of the day, put together from what the other reports stored."""

from typing import Any

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.report_folder import publish_page
from recsys_pipeline.core.reports.page.page import ReportData, counts, render_page
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.item_images import IMAGES
from recsys_pipeline.defs.item_images import NEED as ITEM_IMAGES
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Earlier, Read, Traced
from recsys_pipeline.defs.released import index_key, vectors_key
from recsys_pipeline.defs.reports.day_sections import DayInputs, day_sections, headline_of
from recsys_pipeline.defs.resources import report_folder
from recsys_pipeline.defs.shown import page_link
from recsys_pipeline.defs.warm_starts import input_of
from recsys_pipeline.settings import settings

KEY = "reports/daily"
READS = [
    *(Read(key, needs="interactions") for key in (
        "dataset/snapshot", "folds/prequential", vectors_key(), index_key(), "reports/ranking",
        "reports/day_by_day", "reports/drift", "reports/off_policy",
    )),
    *(Read(key, needs="looks") for key in (
        "dataset/looks", "folds/triplets", "models/stl", "reports/looks", "neighbors/stl_index",
    )),
    Read("reports/parity"),
    Read("dataset/items", needs="items"),
    Read(IMAGES, needs=ITEM_IMAGES),
    Read("reports/new_items", needs="interactions.items"),
    Read("neighbors/cold_vectors", needs="interactions.items"),
    Earlier("reports/ranking"),
]  # fmt: skip


def _snapshot_before(make: Make) -> list[Artifact | None]:
    """The snapshot of the ranking report before the day's: how much data there was then."""
    earlier = make.earlier("reports/ranking")
    return [input_of(make.store, earlier, "dataset/snapshot") if earlier else None]


def _describe(make: Make, artifact: Artifact) -> dict[str, Any]:
    source = make.store.source
    index = publish_page(make.store, artifact, report_folder(settings(), source), source).absolute()
    return {**page_link("page", index.with_name(f"{make.partition}.html")), **page_link("all days", index)}


@asset(KEY, kinds={"html"}, reads=[*READS, Traced("snapshot before", trace=_snapshot_before)], describe=_describe)
def daily(make: Make) -> Built:
    """One row is a section of the day's page: one HTML file that opens anywhere, with everything of the day in it.

    All days stand beside an index in `<RECSYS_HOME>/reports/<source>`, which `make ui` serves where `RECSYS_REPORTS_AT`
    says; each page also opens from the file alone.
    """
    before = make.one("snapshot before")
    day = DayInputs(make.partition, make.reads, make.earlier("reports/ranking"), before, make.store)
    root = make.one("dataset/snapshot") or make["dataset/looks"]
    sections = tuple(day_sections(day))
    page = ReportData(make.store.source, day.day, root.manifest.digest, counts(day.counts()), sections)
    (make.directory / "index.html").write_text(render_page(page), encoding="utf-8")
    return Built({"sections": len(sections), **headline_of(day)})
