"""The drift sensor: one sweep per drift, none while the last one cools down, and off until somebody switches it on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline.settings import settings

SENSOR: Any = defs.resolve_sensor_def("drift_sweep")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """An empty store that the sensor reads."""
    made = ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")
    monkeypatch.setattr(StoreResource, "open", lambda _: made)
    return made


def drifted(store: ArtifactStore, day: str, *breached: str, others: Sequence[str] = ()) -> None:
    """A drift report of the day that names these features, and `others` of a model with other settings."""

    def build(directory: Path) -> Built:
        (directory / "drift.json").write_text(day)
        found = {"breached": list(breached), "breaches": len(breached)}
        return Built(found | ({"of_other_settings": list(others)} if others else {}))

    store.build(Recipe("reports/drift", day, (), {}, "v1", {}), build)


def tick(cursor: str | None = None, swept: Sequence[str] = ()) -> Any:
    """What the sensor decides; Dagster has recorded a run of the sweep job for each of these days."""
    with dg.DagsterInstance.ephemeral() as instance:
        for day in swept:
            instance.add_run(dg.DagsterRun("sweep_weekly", tags={"dagster/partition": day}))
        instance.add_run(dg.DagsterRun("batch_daily", tags={"dagster/partition": "2026-01-20"}))
        context = dg.build_sensor_context(instance, cursor=cursor, resources={"store": StoreResource()})
        return SENSOR(context)


def test_it_is_off_until_somebody_switches_it_on() -> None:
    assert SENSOR.default_status is dg.DefaultSensorStatus.STOPPED
    assert [target.job_name for target in SENSOR.targets] == ["sweep_weekly"]


def test_without_a_report_or_a_breach_nothing_is_asked_for(store: ArtifactStore) -> None:
    assert tick().skip_message == "reports/drift was never made"
    drifted(store, "2026-01-05")
    assert tick().skip_message == "no drift on 2026-01-05"


def test_drift_of_the_newest_day_asks_for_a_sweep_of_that_day(store: ArtifactStore) -> None:
    drifted(store, "2026-01-05", "score")
    drifted(store, "2026-01-06", "catalogue_price", "score")
    result = tick()
    (request,) = result.run_requests
    assert (request.partition_key, request.run_key) == ("2026-01-06", "drift-2026-01-06")
    assert request.tags["recsys/drift"] == "catalogue_price,score"
    assert result.cursor == "2026-01-06"


def test_drift_of_an_earlier_day_is_history(store: ArtifactStore) -> None:
    drifted(store, "2026-01-05", "score")
    drifted(store, "2026-01-06")
    assert tick().skip_message == "no drift on 2026-01-06"


@pytest.mark.parametrize(
    ("cursor", "asks"),
    [("2026-01-20", False), ("2026-01-19", False), ("2026-01-14", False), ("2026-01-13", True), ("2026-02-01", False)],
    ids=["same day", "the day before", "six days", "seven days", "a later day"],
)
def test_the_next_request_waits_for_the_cooldown(store: ArtifactStore, cursor: str, asks: bool) -> None:
    drifted(store, "2026-01-20", "score")
    result = tick(cursor)
    assert isinstance(result, dg.SensorResult) == asks
    assert asks or cursor in result.skip_message


@pytest.mark.parametrize(("swept", "asks"), [("2026-01-14", False), ("2026-01-13", True)])
def test_any_sweep_starts_the_cooldown(store: ArtifactStore, swept: str, asks: bool) -> None:
    """One by schedule, by hand or by another home: what counts is that it was made, or asked for."""
    drifted(store, "2026-01-20", "catalogue_price")
    assert isinstance(tick(swept=[swept]), dg.SensorResult) == asks, "a run that goes on, or ended in whatever way"
    assert isinstance(tick("2026-01-02", swept=["2026-01-03", swept]), dg.SensorResult) == asks
    store.build(Recipe("learning/als_sweep", swept, (), {}, "v1", {}), lambda _: Built({}))
    result = tick("2026-01-02")
    assert isinstance(result, dg.SensorResult) == asks
    assert asks or f"the last sweep is of {swept}" in result.skip_message


def test_figures_of_other_settings_are_named_and_start_nothing(store: ArtifactStore) -> None:
    drifted(store, "2026-01-20", others=["score", "item_norm"])
    assert tick().skip_message == "no drift on 2026-01-20; other settings, not compared: score, item_norm"


def test_the_cooldown_is_a_setting(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    drifted(store, "2026-01-20", "score")
    monkeypatch.setenv("RECSYS_DRIFT_COOLDOWN_DAYS", "1")
    settings.cache_clear()
    try:
        assert tick("2026-01-19").cursor == "2026-01-20"
    finally:
        monkeypatch.undo()
        settings.cache_clear()
