"""The looks report: ways to find products for unseen scenes, side by side."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.store import Artifact, Built
from recsys_pipeline.adapters.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds.triplets import LookFolds, LooksTrain
from recsys_pipeline.core.models.stl import StlModel, untrained
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.accuracy.resampling import Estimate, headline_figures
from recsys_pipeline.core.reports.looks.look_scorers import look_scorers
from recsys_pipeline.core.reports.looks.looks import evaluate_looks
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.pictures import look_grid
from recsys_pipeline.core.reports.page.samples import look_examples
from recsys_pipeline.defs.production import picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

SEED = seed_field("Seed of the resampling.")


class LooksReportConfig(dg.Config):
    """How visual retrieval is judged on the pairs of unseen scenes."""

    ks: list[int] = Field([10, 20], description="List lengths.")
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of scenes.")
    n_examples: int = Field(6, ge=1, le=40, description="Scenes shown as pictures.")
    seed: int = SEED


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
        return Built({**headline_figures(estimates, "same_category_accuracy", 0, "accuracy"), "pairs": len(folds.test)})

    inputs = [folds_artifact, model, data_artifact]
    return produce(context, store, tracker, inputs=inputs, config=config, build=build, describe=_describe_looks)


def _describe_looks(artifact: Artifact) -> dict[str, Any]:
    estimates = load_records(Estimate, artifact.path / "estimates.parquet")
    figure = plots.leaderboard(estimates, "same_category_accuracy", 0)
    return {
        "plot of same-category accuracy": picture(plots.to_png(figure), "same-category accuracy"),
        "recommended looks": picture((artifact.path / "looks.png").read_bytes(), "recommended looks"),
    }
