"""Looks from day to day, and products that training never sees."""

import pyarrow.parquet as pq

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline_tests.deployment import Deployment

CATALOGUE = ("dataset/items", "dataset/looks")
SMALL = {"image_size": 16}


def looks_of(deployment: Deployment, day: str) -> Artifact:
    assert deployment.materialize(*CATALOGUE, day=day, dataset__looks=SMALL).success
    return deployment.artifacts(day)["dataset/looks"]


def test_the_next_day_decodes_its_new_images_only(deployment: Deployment) -> None:
    first, second = (looks_of(deployment, day).manifest for day in ("2026-01-02", "2026-01-04"))
    n_images = [made.metrics["scenes"] + made.metrics["products"] for made in (first, second)]
    assert first.metrics["images_decoded"] == n_images[0]
    assert second.metrics["images_decoded"] == n_images[1] - n_images[0] > 0


def test_held_out_products_are_in_no_train_row(deployment: Deployment) -> None:
    looks = looks_of(deployment, "2026-01-04")
    config = {"unseen_products": 0.3}
    assert deployment.materialize("folds/triplets", day="2026-01-04", folds__triplets=config).success
    folds = deployment.artifacts("2026-01-04")["folds/triplets"]
    held_out = set(pq.read_table(folds.path / "held_out.parquet")["product"].to_pylist())
    parts = pq.read_table(folds.path / "parts.parquet")
    product = pq.read_table(looks.path / "looks.parquet")["product_row"].to_numpy()
    train = parts["look"].to_numpy()[parts["part"].to_numpy() == "train"]
    assert len(held_out) == folds.manifest.metrics["products_held_out"] > 0
    assert not held_out & set(product[train].tolist())
    assert folds.manifest.metrics["test_pairs_of_unseen_products"] > 0
