"""Folds: what models learn from, are tuned on, and are judged on."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.folds import PARTS, Fold, divide, users_cut_in_a_tie
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.folds.triplets import TripletConfig, split_looks
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.production import produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

SEED = seed_field("Seed of the draws.")


class PrequentialConfig(dg.Config):
    """The shares of the prequential rule."""

    test_share: float = Field(0.1, gt=0, lt=1, description="Share of all rows to judge on: per user, the latest.")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of the other rows to tune on, by the same rule."
    )
    min_train_rows: int = Field(1, ge=0, description="Rows that every user keeps in train.")
    seed: int = SEED


TripletForm = config_form(TripletConfig, seed=(int, SEED))


def train_precedes_test(artifact: Artifact) -> bool:
    """For every user, nothing in train is later than validation, and neither is later than test."""
    return Fold.load(artifact.path).is_in_order()


@stage_asset(
    "folds/prequential", needs="interactions", kinds={"numpy", "parquet"}, after=["dataset/snapshot"],
    blocking=[train_precedes_test],
)  # fmt: skip
def prequential_fold(
    context: dg.AssetExecutionContext, config: PrequentialConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is the latest value of a user for an item, in train, validation or test.

    Per user no train row is later than a validation row, and no validation row later than a test row.
    """
    data = store.input(context, "dataset/snapshot")

    def build(directory: Path, _: TrackedRun) -> Built:
        ratings = open_snapshot(store.open(), data, events=True).ratings()
        if not len(ratings):
            raise DataError(f"{data.manifest.recipe.key} has no interactions up to {context.partition_key}: no fold")
        outer = prequential(ratings, config.test_share, config.seed, config.min_train_rows)
        inner = prequential(ratings.take(outer.train), config.validation_share, config.seed + 1, config.min_train_rows)
        fold = divide(ratings, outer, inner)
        fold.save(directory)
        return Built(
            {f"{part}_rows": len(getattr(fold, part)) for part in PARTS}
            | {"test_users_cut_in_a_tie": users_cut_in_a_tie(fold.train_and_validation, fold.test)}
        )

    return produce(context, store, tracker, inputs=[data], config=config, build=build, blocking=[train_precedes_test])


@stage_asset("folds/triplets", needs="looks", kinds={"numpy", "parquet"}, after=["dataset/looks"])
def triplets(
    context: dg.AssetExecutionContext,
    config: TripletForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a scene-product pair in train, validation or test, by scene; test pairs carry fixed negatives."""
    data = store.input(context, "dataset/looks")

    def build(directory: Path, _: TrackedRun) -> Built:
        looks = LookData.load(data.path)
        folds = split_looks(looks, from_form(TripletConfig, config), config.seed)
        folds.save(directory)
        return Built(
            {f"{part}_pairs": len(getattr(folds, part)) for part in PARTS}
            | {"test_pairs_of_unseen_products": int(folds.is_unseen(looks, folds.test).sum())}
            | {"products_held_out": len(folds.held_out)}
        )

    return produce(context, store, tracker, inputs=[data], config=config, build=build)
