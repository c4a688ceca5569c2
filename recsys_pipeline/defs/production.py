"""How every asset is made: recipe, reuse, build, commit, track, report. The asset itself names only what differs."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.verification import verified
from recsys_pipeline.adapters.store.versions import code_version, library_versions
from recsys_pipeline.adapters.wandb.plan import figures
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.reports.page.pictures import png_markdown
from recsys_pipeline.defs.deployed_settings import deployed_form, origins_in_run
from recsys_pipeline.defs.partitions import DAILY
from recsys_pipeline.defs.refusals import refusals_once, refuse_retries
from recsys_pipeline.defs.resources import StoreResource, TrackerResource
from recsys_pipeline.defs.step_log import steps, with_step_log
from recsys_pipeline.defs.table_metadata import table_metadata
from recsys_pipeline.settings import settings

OWNERS = ["team:recommendations"]
NEEDS = "recsys/needs"
"""Tag that says what an asset needs of the source, several kinds with a dot between them; assets that the source cannot
feed are not loaded."""
FORM_PARAMETER = "config"
"""Name of an asset's parameter that takes its form."""
ON_REQUEST = "recsys/on_request"
"""Tag of assets that no job runs: they are made where somebody asks for them."""

TRAINING = "training"
"""Pool of the assets that take all cores; `dagster.yaml` says how many runs may hold one at a time."""
HEAVY = frozenset({"learning", "models", "neighbors"})
"""Stages whose assets are in that pool."""

Build = Callable[[Path, TrackedRun], Built]
Describe = Callable[[Artifact], Mapping[str, Any]]
Fact = Callable[[Artifact], bool]
"""A named check of a stored artifact; its name and docstring are what the UI shows."""
Finding = Callable[[Artifact], tuple[bool, Mapping[str, Any]]]
"""A check with what to look at (plots, figures, words). As an advisory one it warns and stops nothing."""


def seed_field(description: str) -> Any:
    """A seed in a Launchpad form: what NumPy, JAX and faiss all take."""
    return Field(0, ge=0, le=2**31 - 1, description=description)


def stage_asset(
    key: str,
    *,
    needs: str,
    kinds: set[str],
    after: Sequence[str | dg.AssetDep] = (),
    blocking: Sequence[Fact | Finding] = (),
    advisory: Sequence[Finding] = (),
    on_request: bool = False,
    partitions: dg.PartitionsDefinition = DAILY,
    **more: Any,
) -> Callable[..., Any]:
    """The `@dg.asset` of this project: key `<stage>/<subject>`, group = stage, owned, versioned by its code.

    `after` lists the keys that it reads for its own partition (or says of which); `blocking` the facts that must hold
    before anything downstream starts; `advisory` the findings that people should know of. Its form has the deployment's
    values as defaults, and what is refused for good is told once, as `refusals_once` does.
    """
    stage = key.split("/")[0]
    made = dg.asset(
        key=key.split("/"),
        group_name=stage,
        deps=[dg.AssetKey.from_user_string(one) if isinstance(one, str) else one for one in after],
        partitions_def=partitions,
        owners=OWNERS,
        kinds=kinds,
        tags={NEEDS: needs} | ({ON_REQUEST: "true"} if on_request else {}),
        code_version=code_version(key),
        pool=TRAINING if stage in HEAVY else None,
        check_specs=[
            dg.AssetCheckSpec(
                check.__name__, asset=key.split("/"), description=check.__doc__, blocking=check in blocking
            )
            for check in (*blocking, *advisory)
        ],
        **more,
    )

    def decorate(function: Callable[..., Any]) -> Any:
        form = function.__annotations__.get(FORM_PARAMETER)
        if form is not None:
            function.__annotations__[FORM_PARAMETER] = deployed_form(key, form)
        return made(with_step_log(refusals_once(function)))

    return decorate


def make_recipe(key: str, partition: str, inputs: Sequence[Artifact], config: Any) -> Recipe:
    """The recipe of an artifact; `config` is a dataclass, a mapping or a Dagster form."""
    return Recipe(
        key=key,
        partition=partition,
        inputs=tuple(artifact.manifest.ref for artifact in inputs),
        config=_as_dict(config),
        code_version=code_version(key),
        libraries=library_versions(),
    )


def produce(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    tracker: TrackerResource,
    *,
    inputs: Sequence[Artifact],
    config: Any,
    build: Build,
    describe: Describe | None = None,
    blocking: Sequence[Fact | Finding] = (),
    advisory: Sequence[Finding] = (),
    verify_beside: bool = False,
    stands: Fact = lambda _: True,
    origins: Mapping[str, str] | None = None,
) -> dg.MaterializeResult:
    """Make this asset's artifact for this run's partition, or find that it is up to date.

    `build(directory, run)` writes the files and returns their metrics; `describe(artifact)` adds metadata that
    people look at (plots, tables), from the stored files, so that it is there for a reused artifact too. Inputs are
    compared with their digests before anything is made of them, or with `verify_beside` while it is made and before it
    is stored; raises `ArtifactError` naming a damaged file. What no longer `stands` is made again, up to date or not.
    `origins` say where each value of `config` is from; where they are not given, the form and its defaults do.
    """
    key = context.asset_key.to_user_string()
    recipe = make_recipe(key, context.partition_key, inputs, config)
    told = origins_in_run(context, recipe.config) if origins is None else origins
    opened = store.open()
    artifact = None if store.recompute else opened.reusable(recipe)
    if artifact is None or not stands(artifact):
        with tracker.open().asset_run(opened.source, recipe, context.run.run_id, told) as run:

            def build_of_intact(directory: Path) -> Built:
                with verified(inputs, beside=verify_beside):
                    return build(directory, run)

            artifact = opened.build(recipe, build_of_intact, run_id=context.run.run_id, origins=told)
            if found := figures(artifact.manifest.metrics):
                run.log(found)
            run.log_artifact(artifact)
    result = report(artifact, describe, blocking, advisory, links=tracker.open().links(artifact))
    if stands(artifact) and any(not check.passed for check in result.check_results or () if _is_blocking(check)):
        refuse_retries(context)
    return result


def _is_blocking(check: dg.AssetCheckResult) -> bool:
    """Whether nothing downstream starts where it fails."""
    return check.severity is dg.AssetCheckSeverity.ERROR


def report(
    artifact: Artifact,
    describe: Describe | None = None,
    blocking: Sequence[Fact | Finding] = (),
    advisory: Sequence[Finding] = (),
    links: Mapping[str, str] = MappingProxyType({}),
) -> dg.MaterializeResult:
    """What Dagster shows of an artifact, whether its facts hold, and a line in the step log."""
    is_older = artifact.reused or artifact.was_there
    first_made = f"  made {artifact.manifest.created_at[:16].replace('T', ' ')}" if is_older else ""
    steps.info(
        "%-24s %-10s %s  %7.1f s  %s%s",
        artifact.manifest.recipe.key,
        artifact.manifest.recipe.partition,
        "up to date" if artifact.reused else "put back  " if artifact.was_there else "made      ",
        artifact.seconds,
        artifact.manifest.digest[:12],
        first_made,
    )
    return dg.MaterializeResult(
        metadata={
            **(drawn(lambda: describe(artifact), str(artifact.manifest.ref)) if describe else {}),
            **{name: dg.MetadataValue.url(link) for name, link in links.items()},
            **metadata_of(artifact),
            **table_metadata(artifact),
        },
        data_version=dg.DataVersion(artifact.manifest.digest),
        check_results=[
            *(_blocking(fact, artifact) for fact in blocking),
            *(_warning(finding, artifact) for finding in advisory),
        ],
    )


def drawn(draw: Callable[[], Mapping[str, Any]], what: str) -> Mapping[str, Any]:
    """What people look at. A picture that cannot be drawn fails nothing: the artifact is made, and the run goes on."""
    try:
        return draw()
    except ArtifactError:
        raise  # what is stored cannot be read, which is more than a picture
    except Exception as error:  # noqa: BLE001 - whatever a plotting library raises
        steps.warning("  %s is made, and cannot be shown: %r", what, error, exc_info=error)
        return {"not shown": f"{type(error).__name__}: {error}"}


def _blocking(fact: Fact | Finding, artifact: Artifact) -> dg.AssetCheckResult:
    found = fact(artifact)
    passed, metadata = found if isinstance(found, tuple) else (bool(found), {})
    return dg.AssetCheckResult(check_name=fact.__name__, passed=passed, metadata=_of_partition(artifact, metadata))


def _warning(finding: Finding, artifact: Artifact) -> dg.AssetCheckResult:
    passed, metadata = finding(artifact)
    return dg.AssetCheckResult(
        check_name=finding.__name__, passed=passed, severity=dg.AssetCheckSeverity.WARN,
        metadata=_of_partition(artifact, metadata),
    )  # fmt: skip


def _of_partition(artifact: Artifact, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a check found, and of which day or hour: partitions of checks are a preview in Dagster 1.13."""
    return {"partition": artifact.manifest.recipe.partition, **metadata}


def metadata_of(artifact: Artifact) -> dict[str, Any]:
    """Metrics, time, size, place and digest of any artifact: the UI keeps this order, what people read first.

    `seconds` is what this run took for it, and `made_in_seconds` what making it took at first.
    """
    return {
        **{name: _metadata_value(value) for name, value in artifact.manifest.metrics.items()},
        "seconds": artifact.seconds,
        "up_to_date": artifact.reused,
        "made_at": artifact.manifest.created_at,
        "made_in_seconds": artifact.manifest.seconds,
        "bytes": sum(file["bytes"] for file in artifact.manifest.files.values()),
        "path": dg.MetadataValue.path(str(artifact.path.absolute())),
        "digest": artifact.manifest.digest,
        "lineage": f"recsys lineage {artifact.manifest.recipe.key}@{artifact.manifest.recipe.partition}",
    }


def page_link(name: str, page: Path) -> dict[str, Any]:
    """A page of the report folder: where `make ui` serves it, since no browser follows `file://` from the UI."""
    return {
        name: dg.MetadataValue.url(f"http://{settings().reports_at}/{page.name}"),
        f"{name}_file": dg.MetadataValue.path(str(page.absolute())),
    }


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A picture that the UI shows inline."""
    return dg.MetadataValue.md(png_markdown(png, alt))


def log_progress(label: str, metrics: Mapping[str, float | int]) -> None:
    """A progress callback for core functions: one line in the step log."""
    figures = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    steps.info("  %s  %s", label, figures)


def _metadata_value(value: Any) -> Any:
    """As the UI shows it; the manifest keeps every digit."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return value


def _as_dict(config: Any) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    return config.model_dump() if isinstance(config, dg.Config) else dataclasses.asdict(config)
