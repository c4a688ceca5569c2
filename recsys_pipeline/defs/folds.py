"""Folds: what models learn from, are tuned on, and are judged on."""

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.folds import PARTS, Fold, divide, users_cut_in_a_tie
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.folds.triplets import TripletConfig, split_looks
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.shown import seed_field

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


@asset(
    "folds/prequential", kinds={"numpy", "parquet"}, reads=[Read("dataset/snapshot")], form=PrequentialConfig,
    blocking=[train_precedes_test],
)  # fmt: skip
def prequential_fold(make: Make) -> Built:
    """One row is the latest value of a user for an item, in train, validation or test.

    Per user no train row is later than a validation row, and no validation row later than a test row.
    """
    form, data = make.form, make["dataset/snapshot"]
    ratings = open_snapshot(make.store, data, events=True).ratings()
    if not len(ratings):
        raise DataError(f"{data.manifest.recipe.key} has no interactions up to {make.partition}: no fold")
    outer = prequential(ratings, form.test_share, form.seed, form.min_train_rows)
    inner = prequential(ratings.take(outer.train), form.validation_share, form.seed + 1, form.min_train_rows)
    fold = divide(ratings, outer, inner)
    fold.save(make.directory)
    return Built(
        {f"{part}_rows": len(getattr(fold, part)) for part in PARTS}
        | {"test_users_cut_in_a_tie": users_cut_in_a_tie(fold.train_and_validation, fold.test)}
    )


@asset("folds/triplets", kinds={"numpy", "parquet"}, reads=[Read("dataset/looks")], form=TripletForm)
def triplets(make: Make) -> Built:
    """One row is a scene-product pair in train, validation or test, by scene; test pairs carry fixed negatives."""
    looks = LookData.load(make["dataset/looks"].path)
    folds = split_looks(looks, from_form(TripletConfig, make.form), make.form.seed)
    folds.save(make.directory)
    return Built(
        {f"{part}_pairs": len(getattr(folds, part)) for part in PARTS}
        | {"test_pairs_of_unseen_products": int(folds.is_unseen(looks, folds.test).sum())}
        | {"products_held_out": len(folds.held_out)}
    )
