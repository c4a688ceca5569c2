"""Neighbors: embeddings out of models, and indexes that find the nearest of them."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import content_digest, describe_files
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart
from recsys_pipeline.core.learning.cold_start.features import with_unseen
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.exports import export_vectors
from recsys_pipeline.core.neighbors.index import IndexConfig, SearchIndex, build_index
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.asset import Asset, asset, declared
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.item_images import PHOTOS
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.making import recipe_of
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.released import released, released_code, released_key, vectors_key
from recsys_pipeline.defs.shown import at_least, picture, seed_field
from recsys_pipeline.settings import settings

IndexForm = config_form(IndexConfig, seed=(int, seed_field("Seed of query sample and clustering.")))
SUBJECTS = {released().name: ("items", "users"), "stl": ("products", "scenes")}
"""Per model, what is searched and what searches."""


def vectors_are_finite(artifact: Artifact) -> bool:
    """Every stored vector is finite and every id is unique (both are checked as tables are read)."""
    return all(len(VectorTable.load(folder)) > 0 for folder in artifact.path.iterdir() if folder.is_dir())


def recall_meets_target(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """On held-out queries the index finds at least the target share of the true nearest neighbours."""
    report = SearchIndex.load(artifact.path).report
    return report.meets_target, at_least(report.recall, report.recall_target)


@asset(
    vectors_key(), kinds={"safetensors"}, reads=[Read(released_key()), Read("dataset/snapshot")],
    code=[released_code()], blocking=[vectors_are_finite],
)  # fmt: skip
def released_vectors(make: Make) -> Built:
    """One row is the vector of an item or a user; their dot product is the model's score, biases included."""
    fitted, snapshot = released().load(make[released_key()].path), open_snapshot(make.store, make["dataset/snapshot"])
    items = VectorTable(snapshot.item_ids.tolist(), fitted.item_vectors())
    users = VectorTable(snapshot.user_ids.tolist(), fitted.user_vectors())
    return _save_tables(make.directory, items=items, users=users)


@asset(
    "neighbors/stl_vectors", kinds={"safetensors", "jax"}, reads=[Read("models/stl"), Read("dataset/looks")],
    blocking=[vectors_are_finite],
)  # fmt: skip
def stl_vectors(make: Make) -> Built:
    """One row is the embedding of a product of the catalogue or of a scene, in one space."""
    fitted, looks = StlModel.load(make["models/stl"].path), LookData.load(make["dataset/looks"].path)
    categories = [looks.categories[row] for row in looks.product_category]
    # Only an interrupted export has use for its shards, which hold for this model, these images and this code.
    recipe = recipe_of(declared(make.key), make)
    shards = settings().home / "exports" / "stl_vectors" / make.partition / recipe.digest()[:16]
    products = export_vectors(
        looks.product_ids,
        lambda rows: fitted.embed_products(looks.product_images[rows], categories[rows]),
        shards / "products",
    )
    scenes = export_vectors(
        looks.scene_ids, lambda rows: fitted.embed_scenes(looks.scene_images[rows]), shards / "scenes"
    )
    built = _save_tables(make.directory, products=products, scenes=scenes)
    shutil.rmtree(shards.parent, ignore_errors=True)
    return built


@asset(
    "neighbors/cold_vectors", kinds={"safetensors"},
    reads=[
        Read("models/cold_start"), Read("folds/prequential"), Read("dataset/snapshot"), Read("dataset/items"), *PHOTOS,
    ],
)  # fmt: skip
def cold_vectors(make: Make) -> Built:
    """One row is the vector of a catalogue item that the released model never learned of, mapped into its item space.

    Its dot product with a user's row of that model's vectors is the score.
    """
    train = Fold.load(make["folds/prequential"].path).train_and_validation
    items = pq.read_table(make["dataset/items"].path / "items.parquet", columns=["item_id"])
    ids = with_unseen(open_snapshot(make.store, make["dataset/snapshot"]).item_ids.tolist(), items)
    counts = np.bincount(train.item, minlength=len(ids))
    listed = set(items["item_id"].to_pylist())
    new = [item for item, count in zip(ids, counts, strict=True) if not count and item in listed]
    mapper = ColdStart.load(make["models/cold_start"].path).mapper
    return _save_tables(make.directory, items=VectorTable(new, mapper.vectors(features_of(new, make.reads))))


def index_asset(model: str) -> Asset:
    """The asset that indexes one model's vectors."""
    searched, searching = SUBJECTS[model]
    return asset(
        f"neighbors/{model}_index",
        kinds={"faiss"},
        reads=[Read(f"neighbors/{model}_vectors")],
        form=IndexForm,
        describe=_describe_index,
        blocking=[recall_meets_target],
        doc=f"One row is one of the {searched}, in an index that {searching} search.\n\n"
        "Each index family is measured on the real vectors against exact search, and the fastest that meets the "
        "recall target is kept with its parameters.",
    )(partial(_index, model))


def _index(model: str, make: Make) -> Built:
    vectors = make[f"neighbors/{model}_vectors"]
    table, queries = (VectorTable.load(vectors.path / name) for name in SUBJECTS[model])
    config = from_form(IndexConfig, make.form)
    index = build_index(table, np.ascontiguousarray(queries.vectors), config, make.form.seed)
    index.save(make.directory)
    return _index_built(make.directory, index)


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


def _describe_index(_: Make, artifact: Artifact) -> dict[str, Any]:
    """What was measured, where there was a choice."""
    report = SearchIndex.load(artifact.path).report
    if len(report.candidates) < 2:
        return {}
    figure = plots.recall_against_speed(report)
    return {"plot of recall against speed": picture(plots.to_png(figure), "recall and speed")}


INDEX_ASSETS = [index_asset(model) for model in SUBJECTS]
