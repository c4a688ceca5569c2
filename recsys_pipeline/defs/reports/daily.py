"""The page of the day, put together from what the other reports stored."""

from pathlib import Path
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.ingestion import open_snapshot
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.reports.leaderboard import ranking_section
from recsys_pipeline.core.reports.look_scorers import tower_scorer
from recsys_pipeline.core.reports.page import ReportData, Section, counts, render_page
from recsys_pipeline.core.reports.ranking_report import RankingReport, load_records
from recsys_pipeline.core.reports.resampling import Estimate
from recsys_pipeline.core.reports.samples import ItemCards, look_examples, read_titles, user_samples
from recsys_pipeline.core.reports.sections import (
    LineageRow,
    index_section,
    lineage_section,
    looks_section,
    samples_section,
    terms_section,
)
from recsys_pipeline.defs.production import produce, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source

DAILY_INPUTS = {
    "interactions": ["dataset/snapshot", "folds/prequential", "reports/ranking", "neighbors/als_index"],
    "looks": ["dataset/looks", "folds/triplets", "models/stl", "reports/looks", "neighbors/stl_index"],
    "items": ["dataset/items"],
}
AVAILABLE = [key for need, keys in DAILY_INPUTS.items() if need in configured_source().provides for key in keys]


@stage_asset("reports/daily", needs="reports", kinds={"html"}, after=AVAILABLE)
def daily(context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource) -> dg.MaterializeResult:
    """One row is a section of the day's page: one HTML file that opens anywhere, with everything of the day in it.

    Browsers do not follow `page`, a `file://` address, from a page that came over HTTP: copy it into the address bar,
    or open `page_file` from a file browser.
    """
    inputs = {key: store.input(context, key) for key in AVAILABLE}

    def build(directory: Path, _: TrackedRun) -> Built:
        sections = [*_ranking_sections(inputs, store.open()), *_looks_sections(inputs)]
        indexes = {key: SearchIndex.load(inputs[key].path).report for key in inputs if key.endswith("_index")}
        sections += [
            index_section({key.split("/")[1].removesuffix("_index"): report for key, report in indexes.items()})
        ]
        sections += [
            lineage_section([LineageRow(a.manifest.ref, a.manifest.recipe.inputs[-5:]) for a in inputs.values()])
        ]
        sections += [terms_section(["ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage", "rmse",
                                    "same_category_accuracy", "auc", "hubness"])]  # fmt: skip
        root = inputs.get("dataset/snapshot") or inputs["dataset/looks"]
        page = ReportData(
            configured_source().name, context.partition_key, root.manifest.digest, _facts(inputs), tuple(sections)
        )
        (directory / "index.html").write_text(render_page(page), encoding="utf-8")
        return Built({"sections": len(sections)})

    return produce(
        context, store, tracker, inputs=list(inputs.values()), config={}, build=build, describe=_describe_page
    )


def _ranking_sections(inputs: dict[str, Artifact], store: ArtifactStore) -> list[Section]:
    if "reports/ranking" not in inputs:
        return []
    report = RankingReport.load(inputs["reports/ranking"].path)
    fold, snapshot = Fold.load(inputs["folds/prequential"].path), open_snapshot(store, inputs["dataset/snapshot"])
    titles = read_titles(inputs["dataset/items"].path / "items.parquet") if "dataset/items" in inputs else {}
    looks = LookData.load(inputs["dataset/looks"].path) if "dataset/looks" in inputs else None
    cards = ItemCards(snapshot.item_ids.tolist(), titles, looks)
    protocol = (
        f"Per user the latest rows are tested ({len(fold.test):,}), {len(fold.train_and_validation):,} learned from; "
        "models rank every item that the user has not seen. Per user nothing learned from is later than what is "
        "tested; across users it may be."
    )
    samples = user_samples(report.lists, report.best, fold, snapshot.user_ids.tolist(), cards, n_users=4, seed=0)
    return [
        ranking_section(report.estimates, report.differences, protocol, report.shown),
        samples_section(samples, report.best),
    ]


def _looks_sections(inputs: dict[str, Artifact]) -> list[Section]:
    if "reports/looks" not in inputs:
        return []
    data, folds = LookData.load(inputs["dataset/looks"].path), LookFolds.load(inputs["folds/triplets"].path)
    scorer = tower_scorer(StlModel.load(inputs["models/stl"].path), data)
    estimates = load_records(Estimate, inputs["reports/looks"].path / "estimates.parquet")
    protocol = (
        f"{len(folds.test):,} scene-product pairs of scenes that were not trained on; the product is blanked out of "
        "its scene where its box is known. Intervals draw scenes."
    )
    return [looks_section(estimates, look_examples(scorer, data, folds.test, 6, 5, seed=0), protocol)]


def _facts(inputs: dict[str, Artifact]) -> tuple[tuple[str, str], ...]:
    metrics = {key: artifact.manifest.metrics for key, artifact in inputs.items()}
    found = [(name, metrics.get("dataset/snapshot", {}).get(name)) for name in ("days", "users", "items", "rows")]
    found += [(name, metrics.get("dataset/looks", {}).get(name)) for name in ("scenes", "products")]
    return counts([(name, value) for name, value in found if value is not None])


def _describe_page(artifact: Artifact) -> dict[str, Any]:
    page = (artifact.path / "index.html").absolute()
    return {"page": dg.MetadataValue.url(page.as_uri()), "page_file": dg.MetadataValue.path(str(page))}
