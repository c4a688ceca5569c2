"""The ranking report: every model on the same test rows, with intervals."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.store import Artifact, Built
from recsys_pipeline.adapters.tracker import TrackedRun
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.reports import plots
from recsys_pipeline.core.reports.leaderboard import headline_markdown
from recsys_pipeline.core.reports.ranking import evaluate_ranking
from recsys_pipeline.core.reports.ranking_report import PRIMARY_K, PRIMARY_METRIC, RankingReport, summarise
from recsys_pipeline.core.reports.resampling import headline_figures
from recsys_pipeline.defs.production import log_progress, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

RANKED = [spec.name for spec in discover().values() if spec.data == "interactions"]
SEED = seed_field("Seed of the resampling.")


class RankingConfig(dg.Config):
    """How models are judged on the test rows."""

    ks: list[int] = Field([10, 20, 100], description="List lengths; 10, by which models are compared, always counts.")
    relevant_min_value: float | None = Field(None, description="A test row counts from this value on; empty: always.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of users.")
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
            {
                **headline_figures(report.estimates, PRIMARY_METRIC, PRIMARY_K),
                "best": report.best,
                "users": results[0].n_users,
            }
        )

    inputs = [fold_artifact, *models.values()]
    return produce(context, store, tracker, inputs=inputs, config=config, build=build, describe=_describe_ranking)


def _describe_ranking(artifact: Artifact) -> dict[str, Any]:
    report = RankingReport.load(artifact.path)
    figure = plots.leaderboard(report.estimates, "ndcg", 10)
    return {
        "leaderboard": dg.MetadataValue.md(headline_markdown(report.estimates, report.differences)),
        "plot of NDCG@10": picture(plots.to_png(figure), "NDCG@10 by model"),
    }
