"""The looks report: ways to find products for unseen scenes, side by side, and the look book."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.report_folder import publish_beside
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.schema import ITEMS
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.folds.triplets import LookFolds, LooksTrain
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.models.stl import StlModel, untrained
from recsys_pipeline.core.reports.accuracy.resampling import headline_figures
from recsys_pipeline.core.reports.looks.look_book import Recommend, make_look_book
from recsys_pipeline.core.reports.looks.look_book_page import render_look_book
from recsys_pipeline.core.reports.looks.look_report import PRIMARY, LooksReport, seen_pairs, summarise_looks
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer, look_scorers
from recsys_pipeline.core.reports.looks.looks import pair_figures
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.pictures import look_grid
from recsys_pipeline.core.reports.page.samples import look_examples
from recsys_pipeline.core.serving.looks import recommend_look
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.resources import report_folder
from recsys_pipeline.defs.shown import page_link, picture, seed_field
from recsys_pipeline.settings import settings

SEED = seed_field("Seed of the resampling and of what is shown.")
LOOK_BOOK, BESIDE = "look_book.html", "looks"
"""The page in the artifact, and what its name ends with beside the day's page."""
READS = [Read("folds/triplets"), Read("models/stl"), Read("dataset/looks"), Read("dataset/items", needs="items")]


class LooksReportConfig(dg.Config):
    """How visual retrieval is judged on the pairs of unseen scenes, and what the look book shows."""

    ks: list[int] = Field([10, 20], description="List lengths.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of scenes.")
    corrections: list[str] = Field(
        ["csls", "mutual_proximity"],
        description="Corrections of hubs to judge beside the plain scores: csls, mutual_proximity, both or none.",
    )
    n_examples: int = Field(6, ge=1, le=40, description="Scenes shown as pictures.")
    n_book_scenes: int = Field(8, ge=1, le=24, description="Scenes of the look book.")
    n_products: int = Field(5, ge=1, description="Products of a look, one per category.")
    budget: float | None = Field(None, ge=0, description="What a look may cost, in the unit of prices; none: anything.")
    seed: int = SEED


def _describe_looks(make: Make, artifact: Artifact) -> dict[str, Any]:
    report = LooksReport.load(artifact.path)
    figure = plots.leaderboard(report.estimates, "same_category_accuracy", 0)
    page = publish_beside(artifact, LOOK_BOOK, report_folder(settings(), make.store.source), BESIDE).absolute()
    return {
        **page_link("look book", page),
        "plot of same-category accuracy": picture(plots.to_png(figure), "same-category accuracy"),
        "recommended looks": picture((artifact.path / "looks.png").read_bytes(), "recommended looks"),
    }


@asset("reports/looks", kinds={"jax", "python", "html"}, reads=READS, form=LooksReportConfig, describe=_describe_looks)
def looks_report(make: Make) -> Built:
    """One row is a figure of a way to find products for unseen scenes, with its interval over scenes.

    The look book shows a few of the scenes: what is recommended for each, and why.
    """
    form, catalogue = make.form, make.one("dataset/items")
    folds, data = LookFolds.load(make["folds/triplets"].path), LookData.load(make["dataset/looks"].path)
    towers = TowerScorer(StlModel.load(make["models/stl"].path), data)
    report = _judged(towers, data, folds, form)
    report.save(make.directory)
    examples = look_examples(towers, data, folds.test, form.n_examples, 5, form.seed)
    (make.directory / "looks.png").write_bytes(look_grid(examples))
    items = pq.read_table(catalogue.path / "items.parquet") if catalogue else ITEMS.empty_table()
    shelf = Shelf.of(data.product_ids, items)
    book = make_look_book(
        towers, data, folds.train, folds.test, _recommend(data, shelf, form), form.n_book_scenes, form.seed
    )
    digest = make["dataset/looks"].manifest.digest
    page = render_look_book(book, data, shelf, make.store.source, make.partition, digest)
    (make.directory / LOOK_BOOK).write_text(page, encoding="utf-8")
    headline = headline_figures(report.estimates, *PRIMARY, "accuracy")
    return Built({**headline, **_hubness(report), "pairs": len(folds.test)})


def _judged(towers: TowerScorer, data: LookData, folds: LookFolds, config: LooksReportConfig) -> LooksReport:
    train = LooksTrain(data, folds.train, folds.validation)
    blank = untrained(train, towers.model.config, config.seed)
    scorers = look_scorers(towers, blank, folds.train, config.seed, config.corrections)
    rows, negatives = folds.test, folds.test_negatives
    figures = [pair_figures(name, scorer, data, rows, negatives, config.ks) for name, scorer in scorers.items()]
    return summarise_looks(figures, "stl", seen_pairs(data, folds.train, rows), config.seed, config.n_resamples)


def _recommend(data: LookData, shelf: Shelf, config: LooksReportConfig) -> Recommend:
    def recommend(scores: np.ndarray, present: Sequence[int]) -> np.ndarray:
        look = recommend_look(
            scores, data.product_category, shelf.prices, shelf.available, config.budget, present, config.n_products,
            text_hashes(data.product_ids),
        )  # fmt: skip
        return look.products

    return recommend


def _hubness(report: LooksReport) -> dict[str, float]:
    """Before and after the corrections."""
    found = {row.model: row.value for row in report.estimates if row.metric == "hubness"}
    return {f"{name}_hubness": value for name, value in found.items() if name.startswith("stl")}
