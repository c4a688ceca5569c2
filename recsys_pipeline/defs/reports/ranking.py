"""The ranking report: every model on the same test rows, with intervals."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
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
from recsys_pipeline.core.time import microseconds
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Earlier, Read, Traced
from recsys_pipeline.defs.released import released, vectors_key
from recsys_pipeline.defs.shown import log_progress, picture, seed_field
from recsys_pipeline.defs.warm_starts import input_of, remembered, unremembered

RANKED = [
    spec.name for spec in discover().values() if spec.data == "interactions" and (spec.daily or spec == released())
]
SEED = seed_field("Seed of the resampling.")


class RankingConfig(dg.Config):
    """How models are judged on the test rows."""

    ks: list[int] = Field([10, 20, 100], description="List lengths; 10, by which models are compared, always counts.")
    relevant_min_value: float | None = Field(None, description="A test row counts from this value on; empty: always.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of users.")
    seed: int = SEED


KEY, LISTS = "reports/ranking", "lists"


def _remembered(make: Make) -> list[Artifact]:
    """What the day's models went on from, and the folds of that."""
    return [one for name in RANKED for one in remembered(make.store, make[f"models/{name}"])]


def _snapshot_then(make: Make) -> list[Artifact | None]:
    """The snapshot whose ids the lists of the report before are in."""
    earlier = make.earlier(KEY)
    return [input_of(make.store, earlier, "dataset/snapshot") if earlier else None]


def _describe_ranking(_: Make, artifact: Artifact) -> dict[str, Any]:
    report = RankingReport.load(artifact.path)
    figure = plots.leaderboard(report.estimates, "ndcg", 10)
    return {
        "leaderboard": dg.MetadataValue.md(headline_markdown(report.estimates, report.differences)),
        "plot of NDCG@10": picture(plots.to_png(figure), "NDCG@10 by model"),
    }


@asset(
    KEY, kinds={"jax", "python"}, form=RankingConfig, describe=_describe_ranking,
    reads=[
        Read("dataset/snapshot"), Read("folds/prequential"), Read(vectors_key()),
        *(Read(f"models/{name}") for name in RANKED), Read("dataset/items", needs="items"), Earlier(KEY),
        Traced("snapshot then", trace=_snapshot_then), Traced("remembered", trace=_remembered),
    ],
)  # fmt: skip
def ranking(make: Make) -> Built:
    """One row is a figure of a model on the test rows, with its interval: full ranking, seen items left out.

    Beside accuracy: who is served how well, how varied the lists are, how much they changed since the report before.
    Test rows that a model may remember from a day that it went on from are left out, for all models alike.
    """
    fold, config = unremembered(make["folds/prequential"], make.all("remembered")), make.form
    models = {name: discover()[name].load(make[f"models/{name}"].path) for name in RANKED}
    results = list(_evaluate(models, fold, config))
    report = summarise(results, config.seed, config.n_resamples)
    report.save(make.directory)
    (make.directory / LISTS).mkdir()
    lists = _list_report(make, fold, results)
    more = responsiveness_estimates(models, fold.train_and_validation, (SHOWN_K,), config.seed) + _churn(make, results)
    dataclasses.replace(lists, variety=[*lists.variety, *more]).save(make.directory / LISTS)
    figures = headline_figures(report.estimates, PRIMARY_METRIC, PRIMARY_K)
    return Built({**figures, "best": report.best, "users": results[0].n_users, "test_rows": len(fold.test)})


def _evaluate(models: Mapping[str, Recommender], fold: Fold, config: RankingConfig) -> Iterator[RankingResult]:
    known, ks = fold.train_and_validation, sorted({PRIMARY_K, *config.ks})
    for name, model in models.items():
        result = evaluate_ranking(model, known, fold.test, ks, config.relevant_min_value, name=name)
        log_progress(f"evaluated {name}", {f"{PRIMARY_METRIC}@{PRIMARY_K}": result.mean(PRIMARY_METRIC, PRIMARY_K)})
        yield result


def _list_report(make: Make, fold: Fold, results: Sequence[RankingResult]) -> ListReport:
    items, config = make.one("dataset/items"), make.form
    item_ids = open_snapshot(make.store, make["dataset/snapshot"]).item_ids.tolist()
    mix = read_category_mix(items.path / "items.parquet", item_ids) if items else None
    vectors = VectorTable.load(make[vectors_key()].path / "items").vectors
    known, end_us = fold.train_and_validation, microseconds(make.window.end)
    return describe_lists(results, known, config.seed, end_us, mix, vectors, n_resamples=config.n_resamples)


def _churn(make: Make, results: Sequence[RankingResult]) -> list[Estimate]:
    """Nothing where there is no report before, or its snapshot is gone."""
    earlier, data = make.earlier(KEY), make.one("snapshot then")
    if earlier is None or data is None:
        return []
    now, then = (open_snapshot(make.store, one) for one in (make["dataset/snapshot"], data))
    before = EarlierLists(then.user_ids, then.item_ids, RankingReport.load(earlier.path).lists)
    return churn_estimates(results, now.user_ids, now.item_ids, before, make.form.seed, make.form.n_resamples)
