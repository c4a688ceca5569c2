"""Models: one asset per registered model file; a new file in `core/models` appears here by itself."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import content_digest, describe_files
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.learning.cold_start.cold_start import ItemSpace, fit_cold_start
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures, item_features
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.asset import Asset, asset, declared
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.item_images import PHOTOS, photo_vectors
from recsys_pipeline.defs.learning.tuned import TRAINED_ON
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.model_settings import USE_SWEEP, ModelSettings, settings_in_run, settings_table
from recsys_pipeline.defs.reads import Read, Traced
from recsys_pipeline.defs.released import released, released_code, released_key
from recsys_pipeline.defs.shown import log_progress, picture, seed_field
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.defs.warm_starts import REFIT_FIELDS, FitPlan, data_settings, plan_fit
from recsys_pipeline.settings import settings

HISTORY = "history.json"
ColdStartForm = config_form(ColdStartConfig, seed=(int, seed_field("Seed of what is held out and of the network.")))


def model_asset(spec: ModelSpec) -> Asset:
    """The asset that fits one registered model on the day's fold."""
    form = config_form(
        spec.config,
        seed=(int, seed_field("Seed of everything random in the fit.")),
        **{USE_SWEEP: (bool, Field(True, description="Take the settings that the newest sweep found better than "
                                                     "those in use, save those that a run's own form sets."))},
        **(REFIT_FIELDS if spec.continue_fit else {}),
    )  # fmt: skip
    reads = [*map(Read, inputs_of(spec)), Traced("sweep", trace=partial(_sweep, spec))]
    reads += [Traced("start", trace=partial(_start, spec))] if spec.continue_fit else []
    return asset(
        f"models/{spec.name}",
        kinds={"jax", "python"},
        reads=reads,
        needs=spec.data,
        form=form,
        settings=partial(_recipe_settings, spec),
        origins=partial(_origins, spec),
        describe=_describe_model,
        on_request=not spec.daily and spec != released(),
        code=[(spec.fit.__module__, "SPEC")],
        doc=f"One row is the fitted `{spec.name}` model of the day.\n\n{sys.modules[spec.fit.__module__].__doc__}",
    )(partial(_fit, spec))


def _settled(spec: ModelSpec, make: Make) -> ModelSettings:
    return settings_in_run(make.context, make.store, spec, make.form)


def _sweep(spec: ModelSpec, make: Make) -> list[Artifact | None]:
    """The sweep whose winner is taken."""
    return [make.once(_settled, spec).sweep]


def _chosen(spec: ModelSpec, make: Make) -> Any:
    """The model's config in this run."""
    values = make.once(_settled, spec).values
    return parse_config(spec.config, {one.name: values[one.name] for one in dataclasses.fields(spec.config)}, spec.name)


def _recipe_settings(spec: ModelSpec, make: Make) -> dict[str, Any]:
    return {**vars(_chosen(spec, make)), **{name: getattr(make.form, name) for name in of_the_fit(spec)}}


def _origins(spec: ModelSpec, make: Make) -> dict[str, str]:
    names = _recipe_settings(spec, make)
    return {name: origin for name, origin in make.once(_settled, spec).origins.items() if name in names}


def _fit_plan(spec: ModelSpec, make: Make) -> FitPlan:
    fitted_on = [make[key] for key in inputs_of(spec)]
    return plan_fit(make.store, spec, make.partition, fitted_on, _recipe_settings(spec, make))


def _start(spec: ModelSpec, make: Make) -> list[Artifact | None]:
    """The earlier model that the fit goes on from."""
    return [make.once(_fit_plan, spec).start]


def _fit(spec: ModelSpec, make: Make) -> Built:
    plan = make.once(_fit_plan, spec) if spec.continue_fit else None
    inputs = [make[key] for key in inputs_of(spec)]
    facts = {**plan.facts(make.partition), "data_settings": data_settings(inputs)} if plan else {}
    if plan:
        steps.info("  models/%s: %s", spec.name, facts["fit"])
    fit = _fit_interactions if spec.data == "interactions" else _fit_looks
    start = plan.start if plan else None
    built = fit(spec, _chosen(spec, make), make.form.seed, inputs, start, make.directory, make.run)
    return dataclasses.replace(built, metrics={**built.metrics, **facts})


def _describe_model(make: Make, artifact: Artifact) -> dict[str, Any]:
    config, origins = artifact.manifest.recipe.config, declared(make.key).origins
    return {"settings": settings_table(config, origins(make) if origins else {}), **_describe_training(artifact)}


def of_the_fit(spec: ModelSpec) -> list[str]:
    """Fields of a model's form and recipe that say how it is fitted, and are no settings of the model."""
    return ["seed", *(REFIT_FIELDS if spec.continue_fit else [])]


def fitted_config(artifact: Artifact) -> Any:
    """The settings of a stored model."""
    recipe = artifact.manifest.recipe
    spec = discover()[recipe.key.removeprefix("models/")]
    values = {name: value for name, value in recipe.config.items() if name not in of_the_fit(spec)}
    return parse_config(spec.config, values, recipe.key)


def inputs_of(spec: ModelSpec) -> list[str]:
    """Keys of what a model is fitted on: its fold, and what that does not hold."""
    return list(TRAINED_ON[spec.data])


def training_data(spec: ModelSpec, inputs: Sequence[Artifact]) -> Any:
    """What the stored `inputs_of` a model hold for its fit: ratings, or looks."""
    if spec.data == "interactions":
        return Fold.load(inputs[0].path).train_and_validation
    return LookFolds.load(inputs[0].path).for_training(LookData.load(inputs[1].path))


def fit_of(spec: ModelSpec, start: Artifact | None) -> Callable[..., Any]:
    """Fits in full, or goes on from a stored model, whose files are checked first."""
    if start is None or spec.continue_fit is None:
        return spec.fit
    start.verify()
    return partial(spec.continue_fit, spec.load(start.path))


def _fit_interactions(
    spec: ModelSpec, config: Any, seed: int, inputs: list[Artifact], start: Artifact | None, directory: Path,
    run: TrackedRun,
) -> Built:  # fmt: skip
    train = training_data(spec, inputs)
    history: list[dict[str, float | int]] = []

    def progress(_: str, metrics: dict[str, float | int]) -> None:
        history.append(metrics)
        run.log(metrics)

    fit_of(spec, start)(train, config, seed, progress).save(directory)
    return _fitted(directory, history, {"train_rows": len(train), "users": train.n_users, "items": train.n_items})


def _fit_looks(
    spec: ModelSpec, config: Any, seed: int, inputs: list[Artifact], start: Artifact | None, directory: Path,
    run: TrackedRun,
) -> Built:  # fmt: skip
    train = training_data(spec, inputs)
    history: list[dict[str, float | int]] = []

    def progress(label: str, metrics: dict[str, float | int]) -> None:
        history.append(metrics)
        run.log(metrics)
        log_progress(f"{spec.name} {label}", metrics)

    # Only an interrupted training has use for its checkpoints: those of a finished one would answer a recomputation.
    checkpoints = settings().home / "checkpoints" / spec.name / inputs[0].manifest.recipe.partition
    fit_of(spec, start)(train, config, seed, progress, checkpoints).save(directory)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return _fitted(directory, history, {"train_pairs": len(train.rows), **(history[-1] if history else {})})


def _fitted(directory: Path, history: list[dict[str, float | int]], metrics: dict[str, Any]) -> Built:
    """Store the history of the training beside the model.

    It is no part of the digest: training that resumed from a checkpoint tells only its last epochs, and yet ends in
    the same model.
    """
    digest = content_digest(describe_files(directory))
    if history:
        (directory / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    return Built(metrics, digest)


def _describe_training(artifact: Artifact) -> dict[str, Any]:
    """A curve per figure that the training told after each epoch."""
    path = artifact.path / HISTORY
    history = json.loads(path.read_text()) if path.exists() else []
    curves: dict[str, Any] = {}
    for name in [name for name in (history[0] if history else {}) if name != "epoch"]:
        epochs = [int(row.get("epoch", number)) for number, row in enumerate(history, 1)]
        figure = plots.loss_curve({name: [row[name] for row in history]}, y_label=name.replace("_", " "), x=epochs)
        curves[f"plot of {name}"] = picture(plots.to_png(figure), f"{name} by epoch")
    return curves


@asset(
    "models/cold_start", kinds={"jax", "python"}, form=ColdStartForm,
    code=[released_code()],
    reads=[Read(released_key()), Read("folds/prequential"), Read("dataset/snapshot"), Read("dataset/items"), *PHOTOS],
)  # fmt: skip
def cold_start(make: Make) -> Built:
    """One row is a fitted mapper from what is known of a new item to a vector in the item space of the released model.

    From embedded photos where the source has any, from categories where it has none; an item with neither gets the
    mean vector. The mapper that is used is chosen on items that are held out as if they were new. Always fitted in
    full, because that is cheap.
    """
    train = Fold.load(make["folds/prequential"].path).train_and_validation
    item_ids = open_snapshot(make.store, make["dataset/snapshot"]).item_ids.tolist()
    features = features_of(item_ids, make.reads)
    space = ItemSpace.of(released().load(make[released_key()].path), train)
    fitted = fit_cold_start(features, space, from_form(ColdStartConfig, make.form), make.form.seed)
    fitted.save(make.directory)
    learned = {"items": int((space.counts > 0).sum()), "with_photo": int(features.has_image.sum())}
    return Built({"chosen": fitted.chosen, **fitted.unexplained(), **learned, "note": fitted.note or "-"})


def features_of(item_ids: list[str], inputs: Mapping[str, Artifact]) -> ItemFeatures:
    """Features of items from the day's catalogue, and its embedded photos where it has any."""
    items = pq.read_table(inputs["dataset/items"].path / "items.parquet", columns=["item_id", "categories"])
    photos = photo_vectors(inputs)
    return item_features(item_ids, items, photos.ids, photos.vectors) if photos else item_features(item_ids, items)


MODEL_ASSETS = [model_asset(spec) for spec in discover().values()]
