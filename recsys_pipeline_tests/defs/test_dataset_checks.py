"""Checks of raw data carry figures that Dagster can plot, and warn of what is planted; tables tell rows and columns."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.defs.dataset_checks import little_is_put_aside, newest_event_is_late_in_the_day, volume_is_usual
from recsys_pipeline_tests.deployment import DAY, Deployment

KEYS = ("dataset/interactions", "dataset/items")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    found = Deployment(tmp_path_factory.mktemp("checks"))
    with found.active():
        yield found


@pytest.fixture(scope="module")
def result(deployment: Deployment) -> dg.ExecuteInProcessResult:
    made = deployment.materialize(*KEYS)
    assert made.success
    return made


@pytest.fixture
def day(deployment: Deployment, result: dg.ExecuteInProcessResult) -> Artifact:
    assert result.success
    return deployment.store.get("dataset/interactions", DAY)


def with_figures(artifact: Artifact, **figures: Any) -> Artifact:
    """The same day, with other figures in its manifest."""
    manifest = dataclasses.replace(artifact.manifest, metrics={**artifact.manifest.metrics, **figures})
    return dataclasses.replace(artifact, manifest=manifest)


def test_an_ordinary_day_passes_with_figures_of_its_day(result: dg.ExecuteInProcessResult) -> None:
    found = {(one.asset_key.to_user_string(), one.check_name): one for one in result.get_asset_check_evaluations()}
    assert {name for key, name in found if key == "dataset/interactions"} == {
        "volume_is_usual", "little_is_put_aside", "newest_event_is_late_in_the_day",
    }  # fmt: skip
    for one in found.values():
        assert one.passed
        assert one.severity is dg.AssetCheckSeverity.WARN
        assert one.metadata["partition"].value == DAY
        assert isinstance(one.metadata["value"], dg.FloatMetadataValue), one.check_name


@pytest.mark.parametrize("share", [0.0, 0.3, 3.0])
def test_a_day_of_another_size_is_told(day: Artifact, share: float) -> None:
    rows = day.manifest.metrics["rows"]
    passed, found = volume_is_usual(with_figures(day, rows=int(rows * share)))
    assert not passed
    assert found["margin"] == pytest.approx(found["bound"] - found["value"])
    assert found["margin"] < 0


def test_a_first_week_has_no_usual_size(deployment: Deployment, day: Artifact) -> None:
    assert day.manifest.recipe.partition == DAY
    early = deployment.store.get("dataset/interactions", "2026-01-03")
    assert volume_is_usual(early)[0]


def test_rows_put_aside_are_told(day: Artifact) -> None:
    passed, found = little_is_put_aside(with_figures(day, quarantined=day.manifest.metrics["rows"] // 50))
    assert not passed
    assert found["value"] == pytest.approx(1 / 51, rel=0.2)


def test_a_source_that_stopped_in_the_morning_is_told(day: Artifact) -> None:
    later = dataclasses.replace(day.manifest.recipe, partition="2026-01-13")
    passed, found = newest_event_is_late_in_the_day(
        dataclasses.replace(day, manifest=dataclasses.replace(day.manifest, recipe=later))
    )
    assert not passed
    assert found["value"] > 24


def test_a_table_tells_its_rows_and_columns(deployment: Deployment, result: dg.ExecuteInProcessResult) -> None:
    for key in KEYS:
        *_, made = result.asset_materializations_for_node(key.replace("/", "__"))
        assert made.metadata["dagster/row_count"].value == deployment.store.get(key, DAY).manifest.metrics["rows"]
        schema = made.metadata["dagster/column_schema"].value
        assert isinstance(schema, dg.TableSchema)
        assert "item_id" in {column.name for column in schema.columns}
