"""The sections of the day's page, in reading order; each is left out where the source does not feed it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.report_folder import beside
from recsys_pipeline.core.dataset.item_images import ItemImages
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.accuracy.day_by_day import DayFigure
from recsys_pipeline.core.reports.accuracy.day_by_day_section import day_by_day_section
from recsys_pipeline.core.reports.accuracy.leaderboard import ranking_section
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC, RankingReport, load_records
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.cold_start.examples import new_item_examples
from recsys_pipeline.core.reports.cold_start.report import NewItemsReport
from recsys_pipeline.core.reports.cold_start.section import new_items_section
from recsys_pipeline.core.reports.lists.embedding_map import neighbours_section
from recsys_pipeline.core.reports.lists.list_report import ListReport
from recsys_pipeline.core.reports.lists.list_sections import list_sections
from recsys_pipeline.core.reports.looks.look_report import LooksReport
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer
from recsys_pipeline.core.reports.looks.looks_section import looks_section
from recsys_pipeline.core.reports.monitoring.drift import DriftReport
from recsys_pipeline.core.reports.monitoring.drift_section import drift_section
from recsys_pipeline.core.reports.off_policy.report import OffPolicyReport
from recsys_pipeline.core.reports.off_policy.section import off_policy_section
from recsys_pipeline.core.reports.page.changes import DayFacts, changes_section
from recsys_pipeline.core.reports.page.page import Section
from recsys_pipeline.core.reports.page.plots import metric_label
from recsys_pipeline.core.reports.page.samples import ItemCards, look_examples, read_titles, user_samples
from recsys_pipeline.core.reports.page.sections import (
    MEANINGS,
    LineageRow,
    index_section,
    lineage_section,
    samples_section,
    terms_section,
)
from recsys_pipeline.core.reports.parity.gaps import Gap
from recsys_pipeline.core.reports.parity.section import parity_section
from recsys_pipeline.defs.item_images import item_pictures
from recsys_pipeline.defs.released import released, vectors_key
from recsys_pipeline.defs.reports.day_by_day import FIGURES
from recsys_pipeline.defs.reports.looks import BESIDE
from recsys_pipeline.defs.reports.parity import GAPS
from recsys_pipeline.defs.reports.ranking import LISTS

COUNTED = {"dataset/snapshot": ("days", "users", "items", "rows"), "dataset/looks": ("scenes", "products")}
N_NEIGHBOUR_SAMPLES = 4


@dataclass(frozen=True)
class DayInputs:
    """What the page of one day is made of."""

    day: str
    artifacts: Mapping[str, Artifact]
    earlier: Artifact | None
    """The newest ranking report before the day's."""
    snapshot_before: Artifact | None
    """What that was made on."""
    store: ArtifactStore

    def counts(self) -> list[tuple[str, int]]:
        """How much data there is."""
        return [
            (name, self.artifacts[key].manifest.metrics[name])
            for key, names in COUNTED.items()
            if key in self.artifacts
            for name in names
        ]

    @cached_property
    def snapshot(self) -> Snapshot:
        """The day's snapshot, opened once."""
        return open_snapshot(self.store, self.artifacts["dataset/snapshot"])

    @cached_property
    def ranking(self) -> RankingReport:
        """The day's ranking report, read once."""
        return RankingReport.load(self.artifacts["reports/ranking"].path)

    @cached_property
    def items(self) -> pd.DataFrame | None:
        """The catalogue, where the source has one."""
        artifact = self.artifacts.get("dataset/items")
        return pd.read_parquet(artifact.path / "items.parquet") if artifact else None

    @cached_property
    def looks(self) -> LookData | None:
        """Scenes and products with their pictures, where the source has them."""
        artifact = self.artifacts.get("dataset/looks")
        return LookData.load(artifact.path) if artifact else None

    @cached_property
    def pictures(self) -> ItemImages | None:
        """Pictures of items, of looks or of the catalogue."""
        return item_pictures(self.artifacts)


def day_sections(day: DayInputs) -> Iterator[Section]:
    """Every section that the day's inputs feed."""
    if "reports/ranking" in day.artifacts:
        yield from _interaction_sections(day)
    if "reports/new_items" in day.artifacts:
        yield _new_items(day)
    if day.looks is not None:
        yield _looks(day, day.looks)
    yield _parity(day)
    indexes = {key: SearchIndex.load(day.artifacts[key].path).report for key in day.artifacts if key.endswith("_index")}
    yield index_section({key.split("/")[1].removesuffix("_index"): report for key, report in indexes.items()})
    yield lineage_section([LineageRow(a.manifest.ref, a.manifest.recipe.inputs[-5:]) for a in day.artifacts.values()])
    yield terms_section([name for name in MEANINGS if name != "interval"])


def headline_of(day: DayInputs) -> dict[str, Any]:
    """What the index of all days says of this one."""
    if "reports/ranking" not in day.artifacts:
        return {}
    best = day.ranking.best
    row = next(r for r in day.ranking.estimates if (r.model, r.metric, r.k) == (best, PRIMARY_METRIC, PRIMARY_K))
    figures = {"value": row.value, "low": row.low, "high": row.high, "users": row.n}
    drifted = day.artifacts["reports/drift"].manifest.metrics["breached"]
    return {"best": best, "metric": metric_label(row.metric, row.k), **figures, "drifted": drifted}


def _interaction_sections(day: DayInputs) -> Iterator[Section]:
    report, artifacts = day.ranking, day.artifacts
    fold = Fold.load(artifacts["folds/prequential"].path)
    yield changes_section(_facts(day.day, day.counts(), report.estimates), _earlier_facts(day))
    protocol = (
        f"Per user the latest rows are tested ({len(fold.test):,}), {len(fold.train_and_validation):,} learned from; "
        "models rank every item that the user has not seen. Per user nothing learned from is later than what is "
        "tested; across users it may be."
    )
    yield ranking_section(report.estimates, report.differences, protocol, report.shown, by_value=report.by_value)
    figures = load_records(DayFigure, artifacts["reports/day_by_day"].path / FIGURES)
    yield day_by_day_section(figures, [row.model for row in report.estimates])
    yield from list_sections(ListReport.load(artifacts["reports/ranking"].path / LISTS), report.best)
    yield off_policy_section(OffPolicyReport.load(artifacts["reports/off_policy"].path))
    yield drift_section(DriftReport.load(artifacts["reports/drift"].path), day.day)
    cards = _cards(day)
    user_ids = day.snapshot.user_ids.tolist()
    beside = None if report.best == released().name else released().name
    samples = user_samples(report.lists, report.best, fold, user_ids, cards, n_users=4, seed=0, beside=beside)
    yield samples_section(samples, report.best, released().name)
    table = VectorTable.load(artifacts[vectors_key()].path / "items")
    counts = np.bincount(fold.train_and_validation.item, minlength=len(table.vectors))
    popular = np.argsort(-counts, kind="stable")[: 10 * N_NEIGHBOUR_SAMPLES]
    chosen = np.sort(np.random.default_rng(0).permutation(popular)[:N_NEIGHBOUR_SAMPLES])
    yield neighbours_section(table.vectors, chosen, _categories(day), cards, released().name)


def _facts(name: str, counts: list[tuple[str, int]], estimates: list[Estimate]) -> DayFacts:
    return DayFacts(name, {key: value for key, value in counts if key != "days"}, estimates)


def _earlier_facts(day: DayInputs) -> DayFacts | None:
    if day.earlier is None or day.snapshot_before is None:
        return None
    name = day.earlier.manifest.recipe.partition
    counts = [(key, day.snapshot_before.manifest.metrics[key]) for key in COUNTED["dataset/snapshot"]]
    return _facts(name, counts, load_records(Estimate, day.earlier.path / "estimates.parquet"))


def _cards(day: DayInputs) -> ItemCards:
    artifact = day.artifacts.get("dataset/items")
    titles = read_titles(artifact.path / "items.parquet") if artifact else {}
    return ItemCards(day.snapshot.item_ids.tolist(), titles, day.pictures)


def _categories(day: DayInputs) -> dict[str, str]:
    """The first category of each item."""
    if day.items is None:
        return {}
    named = [(name, categories) for name, categories in zip(day.items["item_id"], day.items["categories"], strict=True)]
    return {name: str(categories[0]) for name, categories in named if categories is not None and len(categories)}


def _new_items(day: DayInputs) -> Section:
    report = NewItemsReport.load(day.artifacts["reports/new_items"].path)
    new, learned = (
        VectorTable.load(day.artifacts[key].path / "items") for key in ("neighbors/cold_vectors", vectors_key())
    )
    titles = read_titles(day.artifacts["dataset/items"].path / "items.parquet")
    return new_items_section(report, new_item_examples(new, learned, titles, day.pictures))


def _parity(day: DayInputs) -> Section:
    report = day.artifacts["reports/parity"]
    models = [row.model for row in day.ranking.estimates] if "reports/ranking" in day.artifacts else []
    return parity_section(load_records(Gap, report.path / GAPS), report.manifest.recipe.config["max_gap"], models)


def _looks(day: DayInputs, data: LookData) -> Section:
    folds = LookFolds.load(day.artifacts["folds/triplets"].path)
    scorer = TowerScorer(StlModel.load(day.artifacts["models/stl"].path), data)
    report = LooksReport.load(day.artifacts["reports/looks"].path)
    protocol = (
        f"{len(folds.test):,} scene-product pairs of scenes that were not trained on; the product is masked out of "
        "its scene where its box is known. Intervals draw scenes."
    )
    examples = look_examples(scorer, data, folds.test, 6, 5, seed=0)
    book = beside(day.day, BESIDE)
    return looks_section(report.estimates, examples, protocol, report.differences, report.groups, book)
