"""How every asset is made: find what it reads, recipe, reuse, build, commit, track, show."""

from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifacts import Artifact, Built, only_declared
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.verification import verified
from recsys_pipeline.adapters.wandb.plan import figures
from recsys_pipeline.defs.asset import Asset, reads_of
from recsys_pipeline.defs.deployed_settings import deployed_form, origins_in_run
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.partitions import Partitions
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.refusals import refusals_once, refuse_retries
from recsys_pipeline.defs.resources import SourceResource, StoreResource, TrackerResource
from recsys_pipeline.defs.shown import is_blocking, report
from recsys_pipeline.defs.step_log import with_step_log

OWNERS = ["team:recommendations"]
ON_REQUEST = "recsys/on_request"
"""Tag of assets that no job runs: they are made where somebody asks for them."""
TRAINING = "training"
"""Pool of the assets that take all cores; `dagster.yaml` says how many runs may hold one at a time."""
HEAVY = frozenset({"learning", "models", "neighbors"})
"""Stages whose assets are in that pool."""


def as_dagster(made: Asset, kinds: frozenset[str], partitions: Partitions) -> dg.AssetsDefinition:
    """The `@dg.asset` of a declaration, where the source provides these kinds."""
    reads = reads_of(made, kinds)
    return dg.asset(
        key=made.key.split("/"),
        group_name=made.stage,
        description=made.description,
        deps=[dep for read in reads if (dep := read.dep())],
        partitions_def=partitions.hourly if made.hourly else partitions.daily,
        owners=OWNERS,
        kinds=set(made.kinds),
        tags={ON_REQUEST: "true"} if made.on_request else {},
        code_version=made.code_version,
        pool=TRAINING if made.stage in HEAVY else None,
        check_specs=[
            dg.AssetCheckSpec(
                check.__name__,
                asset=made.key.split("/"),
                description=cleandoc(check.__doc__ or ""),
                blocking=check in made.blocking,
            )
            for check in (*made.blocking, *made.advisory)
        ],
    )(_step(made, reads))


def _step(made: Asset, reads: list[Read]) -> Any:
    """The function that Dagster calls; with a parameter for the form where there is one."""

    def make_it(context: Any, form: Any, *resources: Any) -> dg.MaterializeResult:
        make = Make(made.key, context, form, *resources)
        make.read(reads)
        return made.function(make) if made.by_hand else produce(made, make)

    def formless(
        context: dg.AssetExecutionContext, source: SourceResource, store: StoreResource, tracker: TrackerResource
    ) -> dg.MaterializeResult:
        return make_it(context, None, source, store, tracker)

    form: Any = deployed_form(made.key, made.form) if made.form else None

    def with_form(
        context: dg.AssetExecutionContext, config: form, source: SourceResource,  # pyright: ignore[reportInvalidTypeForm]
        store: StoreResource, tracker: TrackerResource,
    ) -> dg.MaterializeResult:  # fmt: skip
        return make_it(context, config, source, store, tracker)

    step = with_form if made.form else formless
    step.__name__ = made.key.split("/")[1]
    return with_step_log(refusals_once(step))


def recipe_of(made: Asset, make: Make, partition: str | None = None, config: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of what is made; of another partition, and with another config, where these are given."""
    form = make.form.model_dump() if make.form else {}
    of_recipe: Mapping[str, Any] = config or (made.settings(make) if made.settings else form)
    return Recipe(
        key=made.key,
        partition=partition or make.partition,
        inputs=tuple(artifact.manifest.ref for artifact in make.inputs),
        config={**of_recipe},
        code_version=made.code_version,
        libraries=made.libraries,
    )


def produce(made: Asset, make: Make) -> dg.MaterializeResult:
    """Make the artifact for this run's partition, or find that it is up to date.

    Inputs are compared with their digests before anything is made of them, or with `verify_beside` while it is made and
    before it is stored; raises `ArtifactError` naming a damaged file, or one that is read and not declared.
    """
    recipe = recipe_of(made, make)
    told = made.origins(make) if made.origins else origins_in_run(make.context, recipe.config)
    artifact = None if make.recompute else make.store.reusable(recipe)
    if artifact is None or not made.stands(artifact):
        artifact = _build(made, make, recipe, told)

    def describe(artifact: Artifact) -> Mapping[str, Any]:
        return made.describe(make, artifact) if made.describe else {}

    result = report(artifact, describe, made.blocking, made.advisory, links=make.tracker.links(artifact))
    if made.stands(artifact) and any(not check.passed for check in result.check_results or () if is_blocking(check)):
        refuse_retries(make.context)
    return result


def _build(made: Asset, make: Make, recipe: Recipe, origins: Mapping[str, str]) -> Artifact:
    with make.tracker.asset_run(make.store.source, recipe, make.context.run.run_id, origins) as make.run:

        def build_of_intact(directory: Path) -> Built:
            make.directory = directory
            with verified(make.inputs, beside=made.verify_beside), only_declared(made.key, make.inputs):
                return made.function(make)

        artifact = make.store.build(recipe, build_of_intact, run_id=make.context.run.run_id, origins=origins)
        if found := figures(artifact.manifest.metrics):
            make.run.log(found)
        make.run.log_artifact(artifact)
    return artifact
