"""What Dagster shows of an artifact: metadata, pictures, links, and whether its facts hold."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.reports.page.pictures import png_markdown
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.defs.table_metadata import table_metadata
from recsys_pipeline.settings import settings

Describe = Callable[[Artifact], Mapping[str, Any]]
Fact = Callable[[Artifact], bool]
Finding = Callable[[Artifact], tuple[bool, Mapping[str, Any]]]


def seed_field(description: str) -> Any:
    """A seed in a Launchpad form: what NumPy, JAX and faiss all take."""
    return Field(0, ge=0, le=2**31 - 1, description=description)


def at_most(value: float | int, bound: float | int) -> dict[str, float]:
    """A check's figure, which Dagster plots over days: what it may be at most, and how far below that it is."""
    return _judged(value, bound, bound - value)


def at_least(value: float | int, bound: float | int) -> dict[str, float]:
    """The same of a figure that must reach its bound."""
    return _judged(value, bound, value - bound)


def judged(value: float | int, bound: float | int, passed: bool) -> dict[str, float]:
    """The same where only the verdict says on which side of its bound a figure belongs."""
    return _judged(value, bound, abs(value - bound) if passed else -abs(value - bound))


def _judged(value: float | int, bound: float | int, margin: float | int) -> dict[str, float]:
    """Without what is not defined, which Dagster cannot plot; a margin below 0 is why a check failed."""
    figures = {"value": value, "bound": bound, "margin": margin}
    return {name: float(figure) for name, figure in figures.items() if math.isfinite(figure)}


def is_blocking(check: dg.AssetCheckResult) -> bool:
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
            **(drawn(lambda: describe(artifact), _name(artifact)) if describe else {}),
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


def _name(artifact: Artifact) -> str:
    return f"{artifact.manifest.recipe.key} {artifact.manifest.recipe.partition}"


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
