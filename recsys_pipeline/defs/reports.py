"""Reports: figures with intervals, and the page of the day."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.ingestion import open_snapshot
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.folds.triplets import LookFolds, LooksTrain
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.models.stl import StlModel, untrained
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.reports import plots
from recsys_pipeline.core.reports.leaderboard import headline_markdown, ranking_section
from recsys_pipeline.core.reports.look_scorers import look_scorers, tower_scorer
from recsys_pipeline.core.reports.looks import evaluate_looks
from recsys_pipeline.core.reports.page import ReportData, Section, counts, render_page
from recsys_pipeline.core.reports.pictures import look_grid
from recsys_pipeline.core.reports.ranking import evaluate_ranking
from recsys_pipeline.core.reports.ranking_report import (
    PRIMARY_K,
    PRIMARY_METRIC,
    RankingReport,
    load_records,
    save_records,
    summarise,
)
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
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source

RANKED = [spec.name for spec in discover().values() if spec.data == "interactions"]
SEED = seed_field("Seed of the resampling.")


class RankingConfig(dg.Config):
    """How models are judged on the test rows."""

    ks: list[int] = Field([10, 20, 100], description="List lengths; 10, by which models are compared, always counts.")
    relevant_min_value: float | None = Field(None, description="A test row counts from this value on; empty: always.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of users.")
    seed: int = SEED


class LooksReportConfig(dg.Config):
    """How visual retrieval is judged on the pairs of unseen scenes."""

    ks: list[int] = Field([10, 20], description="List lengths.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of scenes.")
    n_examples: int = Field(6, ge=1, le=40, description="Scenes shown as pictures.")
    seed: int = SEED


@stage_asset(
    "reports/ranking", needs="interactions", kinds={"jax", "python"},
    after=["folds/prequential", *(f"models/{name}" for name in RANKED)],
)  # fmt: skip
def ranking(
    context: dg.AssetExecutionContext, config: RankingConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a figure of a model on the test rows, with its interval: full ranking, seen items left out."""
    fold_artifact = store.input(context, "folds/prequential")
    models = {name: store.input(context, f"models/{name}") for name in RANKED}

    def build(directory: Path, _: TrackedRun) -> Built:
        fold, results, ks = Fold.load(fold_artifact.path), [], sorted({PRIMARY_K, *config.ks})
        for name, artifact in models.items():
            model = discover()[name].load(artifact.path)
            results.append(evaluate_ranking(model, fold.train_and_validation, fold.test, ks,
                                            config.relevant_min_value, name=name))  # fmt: skip
            log_progress(
                f"evaluated {name}", {f"{PRIMARY_METRIC}@{PRIMARY_K}": results[-1].mean(PRIMARY_METRIC, PRIMARY_K)}
            )
        report = summarise(results, config.seed, config.n_resamples)
        report.save(directory)
        return Built(
            {**_headline(report.estimates, PRIMARY_METRIC, PRIMARY_K), "best": report.best, "users": results[0].n_users}
        )

    inputs = [fold_artifact, *models.values()]
    return produce(context, store, tracker, inputs=inputs, config=config, build=build, describe=_describe_ranking)


@stage_asset(
    "reports/looks", needs="looks", kinds={"jax", "python"}, after=["folds/triplets", "models/stl", "dataset/looks"]
)
def looks_report(
    context: dg.AssetExecutionContext, config: LooksReportConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a figure of a way to find products for unseen scenes, with its interval over scenes."""
    folds_artifact, model, data_artifact = (
        store.input(context, key) for key in ("folds/triplets", "models/stl", "dataset/looks")
    )

    def build(directory: Path, _: TrackedRun) -> Built:
        folds, data = LookFolds.load(folds_artifact.path), LookData.load(data_artifact.path)
        fitted = StlModel.load(model.path)
        blank = untrained(LooksTrain(data, folds.train, folds.validation), fitted.config, config.seed)
        scorers = look_scorers(fitted, blank, data, folds.train, config.seed)
        estimates = evaluate_looks(
            scorers, data, folds.test, folds.test_negatives, config.seed, config.ks, config.n_resamples
        )
        save_records(estimates, directory / "estimates.parquet")
        examples = look_examples(scorers["stl"], data, folds.test, config.n_examples, 5, config.seed)
        (directory / "looks.png").write_bytes(look_grid(examples))
        return Built({**_headline(estimates, "same_category_accuracy", 0, "accuracy"), "pairs": len(folds.test)})

    inputs = [folds_artifact, model, data_artifact]
    return produce(context, store, tracker, inputs=inputs, config=config, build=build, describe=_describe_looks)


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


def _headline(estimates: list[Estimate], metric: str, k: int, name: str = "") -> dict[str, float]:
    label = name or f"{metric}@{k}"
    return {f"{row.model}_{label}": row.value for row in estimates if (row.metric, row.k) == (metric, k)}


def _describe_ranking(artifact: Artifact) -> dict[str, Any]:
    report = RankingReport.load(artifact.path)
    figure = plots.leaderboard(report.estimates, "ndcg", 10)
    return {
        "leaderboard": dg.MetadataValue.md(headline_markdown(report.estimates, report.differences)),
        "plot of NDCG@10": picture(plots.to_png(figure), "NDCG@10 by model"),
    }


def _describe_looks(artifact: Artifact) -> dict[str, Any]:
    estimates = load_records(Estimate, artifact.path / "estimates.parquet")
    figure = plots.leaderboard(estimates, "same_category_accuracy", 0)
    return {
        "plot of same-category accuracy": picture(plots.to_png(figure), "same-category accuracy"),
        "recommended looks": picture((artifact.path / "looks.png").read_bytes(), "recommended looks"),
    }


def _describe_page(artifact: Artifact) -> dict[str, Any]:
    page = (artifact.path / "index.html").absolute()
    return {"page": dg.MetadataValue.url(page.as_uri()), "page_file": dg.MetadataValue.path(str(page))}
