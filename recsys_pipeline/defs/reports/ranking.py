"""The ranking report: every model on the same test rows, with intervals."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.leaderboard import headline_markdown
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC, RankingReport, summarise
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import Estimate, headline_figures
from recsys_pipeline.core.reports.lists.list_facts import read_category_mix
from recsys_pipeline.core.reports.lists.list_report import (
    SHOWN_K,
    EarlierLists,
    ListReport,
    churn_estimates,
    describe_lists,
)
from recsys_pipeline.core.reports.lists.responsiveness import responsiveness_estimates
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.types import Window, microseconds
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source
from recsys_pipeline.defs.warm_starts import remembered, unremembered

RANKED = [spec.name for spec in discover().values() if spec.data == "interactions" and spec.daily]
SEED = seed_field("Seed of the resampling.")


class RankingConfig(dg.Config):
    """How models are judged on the test rows."""

    ks: list[int] = Field([10, 20, 100], description="List lengths; 10, by which models are compared, always counts.")
    relevant_min_value: float | None = Field(None, description="A test row counts from this value on; empty: always.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of users.")
    seed: int = SEED


INPUTS = ["dataset/snapshot", "folds/prequential", "neighbors/als_vectors", *(f"models/{name}" for name in RANKED)]
INPUTS += ["dataset/items"] if "items" in configured_source().provides else []
KEY, LISTS = "reports/ranking", "lists"


@stage_asset(KEY, needs="interactions", kinds={"jax", "python"}, after=INPUTS)
def ranking(
    context: dg.AssetExecutionContext, config: RankingConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a figure of a model on the test rows, with its interval: full ranking, seen items left out.

    Beside accuracy: who is served how well, how varied the lists are, how much they changed since the report before.
    Test rows that a model may remember from a day that it went on from are left out, for all models alike.
    """
    opened, inputs = store.open(), {key: store.input(context, key) for key in INPUTS}
    earlier = opened.latest(KEY, before=context.partition_key)

    behind = {one.path: one for name in RANKED for one in remembered(opened, inputs[f"models/{name}"])}

    def build(directory: Path, _: TrackedRun) -> Built:
        fold = unremembered(inputs["folds/prequential"], list(behind.values()))
        models = {name: discover()[name].load(inputs[f"models/{name}"].path) for name in RANKED}
        results = list(_evaluate(models, fold, config))
        report = summarise(results, config.seed, config.n_resamples)
        report.save(directory)
        (directory / LISTS).mkdir()
        lists = _list_report(opened, inputs, fold, results, config)
        more = responsiveness_estimates(models, fold.train_and_validation, (SHOWN_K,), config.seed)
        more += _churn(opened, inputs, earlier, results, config) if earlier else []
        dataclasses.replace(lists, variety=[*lists.variety, *more]).save(directory / LISTS)
        figures = headline_figures(report.estimates, PRIMARY_METRIC, PRIMARY_K)
        return Built({**figures, "best": report.best, "users": results[0].n_users, "test_rows": len(fold.test)})

    sources = [*inputs.values(), *([earlier] if earlier else []), *behind.values()]
    return produce(context, store, tracker, inputs=sources, config=config, build=build, describe=_describe_ranking)


def _evaluate(models: Mapping[str, Recommender], fold: Fold, config: RankingConfig) -> Iterator[RankingResult]:
    known, ks = fold.train_and_validation, sorted({PRIMARY_K, *config.ks})
    for name, model in models.items():
        result = evaluate_ranking(model, known, fold.test, ks, config.relevant_min_value, name=name)
        log_progress(f"evaluated {name}", {f"{PRIMARY_METRIC}@{PRIMARY_K}": result.mean(PRIMARY_METRIC, PRIMARY_K)})
        yield result


def _list_report(
    store: ArtifactStore,
    inputs: Mapping[str, Artifact],
    fold: Fold,
    results: Sequence[RankingResult],
    config: RankingConfig,
) -> ListReport:
    data, items = inputs["dataset/snapshot"], inputs.get("dataset/items")
    end_us = microseconds(Window.of_day(date.fromisoformat(data.manifest.recipe.partition)).end)
    item_ids = open_snapshot(store, data).item_ids.tolist()
    mix = read_category_mix(items.path / "items.parquet", item_ids) if items else None
    vectors = VectorTable.load(inputs["neighbors/als_vectors"].path / "items").vectors
    known = fold.train_and_validation
    return describe_lists(results, known, config.seed, end_us, mix, vectors, n_resamples=config.n_resamples)


def _churn(
    store: ArtifactStore,
    inputs: Mapping[str, Artifact],
    earlier: Artifact,
    results: Sequence[RankingResult],
    config: RankingConfig,
) -> list[Estimate]:
    now = open_snapshot(store, inputs["dataset/snapshot"])
    then = open_snapshot(store, store.get("dataset/snapshot", earlier.manifest.recipe.partition))
    before = EarlierLists(then.user_ids, then.item_ids, RankingReport.load(earlier.path).lists)
    return churn_estimates(results, now.user_ids, now.item_ids, before, config.seed, config.n_resamples)


def _describe_ranking(artifact: Artifact) -> dict[str, Any]:
    report = RankingReport.load(artifact.path)
    figure = plots.leaderboard(report.estimates, "ndcg", 10)
    return {
        "leaderboard": dg.MetadataValue.md(headline_markdown(report.estimates, report.differences)),
        "plot of NDCG@10": picture(plots.to_png(figure), "NDCG@10 by model"),
    }
