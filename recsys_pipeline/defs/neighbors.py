"""Neighbors: embeddings out of models, and indexes that find the nearest of them."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import content_digest, describe_files
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart
from recsys_pipeline.core.learning.cold_start.features import with_unseen
from recsys_pipeline.core.models.als import AlsModel
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.exports import export_vectors
from recsys_pipeline.core.neighbors.index import IndexConfig, SearchIndex, build_index
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.item_images import PHOTOS
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.production import make_recipe, picture, produce, seed_field, stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource
from recsys_pipeline.settings import settings

IndexForm = config_form(IndexConfig, seed=(int, seed_field("Seed of query sample and clustering.")))
SUBJECTS = {"als": ("items", "users"), "stl": ("products", "scenes")}
"""Per model, what is searched and what searches."""


def vectors_are_finite(artifact: Artifact) -> bool:
    """Every stored vector is finite and every id is unique (both are checked as tables are read)."""
    return all(len(VectorTable.load(folder)) > 0 for folder in artifact.path.iterdir() if folder.is_dir())


def recall_meets_target(artifact: Artifact) -> bool:
    """On held-out queries the index finds at least the target share of the true nearest neighbours."""
    return SearchIndex.load(artifact.path).report.meets_target


@stage_asset(
    "neighbors/als_vectors", needs="interactions", kinds={"safetensors"}, after=["models/als", "dataset/snapshot"],
    blocking=[vectors_are_finite],
)  # fmt: skip
def als_vectors(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is the vector of an item or a user; their dot product is the model's score, biases included."""
    model, data = store.input(context, "models/als"), store.input(context, "dataset/snapshot")

    def build(directory: Path, _: TrackedRun) -> Built:
        fitted, snapshot = AlsModel.load(model.path), open_snapshot(store.open(), data)
        items = VectorTable(snapshot.item_ids.tolist(), fitted.item_vectors())
        users = VectorTable(snapshot.user_ids.tolist(), fitted.user_vectors())
        return _save_tables(directory, items=items, users=users)

    return produce(context, store, tracker, inputs=[model, data], config={}, build=build, blocking=[vectors_are_finite])


@stage_asset(
    "neighbors/stl_vectors", needs="looks", kinds={"safetensors", "jax"}, after=["models/stl", "dataset/looks"],
    blocking=[vectors_are_finite],
)  # fmt: skip
def stl_vectors(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is the embedding of a product of the catalogue or of a scene, in one space."""
    model, data = store.input(context, "models/stl"), store.input(context, "dataset/looks")

    def build(directory: Path, _: TrackedRun) -> Built:
        fitted, looks = StlModel.load(model.path), LookData.load(data.path)
        categories = [looks.categories[row] for row in looks.product_category]
        recipe = make_recipe("neighbors/stl_vectors", context.partition_key, [model, data], {})
        # Only an interrupted export has use for its shards, which hold for this model, these images and this code.
        shards = settings().home / "exports" / "stl_vectors" / context.partition_key / recipe.digest()[:16]
        products = export_vectors(
            looks.product_ids,
            lambda rows: fitted.embed_products(looks.product_images[rows], categories[rows]),
            shards / "products",
        )
        scenes = export_vectors(
            looks.scene_ids, lambda rows: fitted.embed_scenes(looks.scene_images[rows]), shards / "scenes"
        )
        built = _save_tables(directory, products=products, scenes=scenes)
        shutil.rmtree(shards.parent, ignore_errors=True)
        return built

    return produce(context, store, tracker, inputs=[model, data], config={}, build=build, blocking=[vectors_are_finite])


COLD_INPUTS = ["models/cold_start", "folds/prequential", "dataset/snapshot", "dataset/items", *PHOTOS]


@stage_asset("neighbors/cold_vectors", needs="interactions.items", kinds={"safetensors"}, after=COLD_INPUTS)
def cold_vectors(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is the vector of a catalogue item that `models/als` has learned nothing of, mapped into its item space.

    Its dot product with a user's row of `neighbors/als_vectors` is the score.
    """
    inputs = {key: store.input(context, key) for key in COLD_INPUTS}

    def build(directory: Path, _: TrackedRun) -> Built:
        train = Fold.load(inputs["folds/prequential"].path).train_and_validation
        items = pq.read_table(inputs["dataset/items"].path / "items.parquet", columns=["item_id"])
        ids = with_unseen(open_snapshot(store.open(), inputs["dataset/snapshot"]).item_ids.tolist(), items)
        counts = np.bincount(train.item, minlength=len(ids))
        listed = set(items["item_id"].to_pylist())
        new = [item for item, count in zip(ids, counts, strict=True) if not count and item in listed]
        mapper = ColdStart.load(inputs["models/cold_start"].path).mapper
        return _save_tables(directory, items=VectorTable(new, mapper.vectors(features_of(new, inputs))))

    return produce(context, store, tracker, inputs=list(inputs.values()), config={}, build=build)


def index_asset(model: str, needs: str) -> dg.AssetsDefinition:
    """The asset that indexes one model's vectors."""
    searched, searching = SUBJECTS[model]
    vectors_key = f"neighbors/{model}_vectors"

    def asset(context: dg.AssetExecutionContext, config: IndexForm, store: StoreResource, tracker: TrackerResource):  # pyright: ignore[reportInvalidTypeForm]
        vectors = store.input(context, vectors_key)

        def build(directory: Path, _: TrackedRun) -> Built:
            table, queries = VectorTable.load(vectors.path / searched), VectorTable.load(vectors.path / searching)
            index = build_index(
                table, np.ascontiguousarray(queries.vectors), from_form(IndexConfig, config), config.seed
            )
            index.save(directory)
            return _index_built(directory, index)

        return produce(
            context, store, tracker, inputs=[vectors], config=config, build=build, describe=_describe_index,
            blocking=[recall_meets_target],
        )  # fmt: skip

    asset.__name__ = f"{model}_index"
    asset.__doc__ = (
        f"One row is one of the {searched}, in an index that {searching} search.\n\n"
        "Each index family is measured on the real vectors against exact search, and the fastest that meets the "
        "recall target is kept with its parameters."
    )
    return stage_asset(
        f"neighbors/{model}_index", needs=needs, kinds={"faiss"}, after=[vectors_key], blocking=[recall_meets_target]
    )(asset)


def _save_tables(directory: Path, **tables: VectorTable) -> Built:
    """Store the tables; the digest is of their content, in whatever order the rows stand."""
    metrics: dict[str, int] = {}
    for name, table in tables.items():
        table.save(directory / name)
        metrics |= {name: len(table), "dimensions": table.dim}
    digests = json.dumps({name: table.digest() for name, table in tables.items()}, sort_keys=True)
    return Built(metrics, digest=hashlib.sha256(digests.encode()).hexdigest())


def _index_built(directory: Path, index: SearchIndex) -> Built:
    """The digest leaves out `speed.json`, which holds timings and would differ from run to run."""
    report = index.report
    files = {name: entry for name, entry in describe_files(directory).items() if name != "speed.json"}
    metrics = {
        "family": report.chosen.family,
        "recall": report.recall,
        "recall_target": report.recall_target,
        "queries_per_second": report.queries_per_second,
        "vectors": report.n_vectors,
        "hubness": report.hubness,
        "hubness_uncorrected": report.hubness_uncorrected,
    }
    return Built(metrics, digest=content_digest(files))


def _describe_index(artifact: Artifact) -> dict[str, Any]:
    """What was measured, where there was a choice."""
    report = SearchIndex.load(artifact.path).report
    if len(report.candidates) < 2:
        return {}
    figure = plots.recall_against_speed(report)
    return {"plot of recall against speed": picture(plots.to_png(figure), "recall and speed")}


NEIGHBOR_ASSETS = [
    als_vectors, index_asset("als", "interactions"), stl_vectors, index_asset("stl", "looks"), cold_vectors
]  # fmt: skip
