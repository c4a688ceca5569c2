"""Drift through the real assets: a quiet day passes; planted prices fail the check, stop nothing and raise an alert."""

import dataclasses
import shutil
from datetime import datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys_pipeline.adapters.wandb.outbox import Outbox
from recsys_pipeline.core.reports.monitoring.drift import OF_THE_MODEL
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.reports import drift
from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment
from recsys_pipeline_tests.misbehaving_sources import Misbehaving

DAILY = ("dataset/interactions", "dataset/items", "dataset/snapshot", "folds/prequential", "models/als",
         "neighbors/als_vectors", "reports/drift")  # fmt: skip


class Dear(Misbehaving):
    """Asks three times the price."""

    def items(self, as_of: datetime) -> pa.Table:
        table = self.source.items(as_of)
        at = table.schema.get_field_index("price")
        return table.set_column(at, table.schema.field(at), pc.multiply(table["price"], 3.0))  # pyright: ignore[reportAttributeAccessIssue] (made at run time)

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return self.source.fingerprint(window, table) + "dear"


@pytest.fixture(scope="module")
def later(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A copy of the first day's deployment, tracked offline."""
    home = tmp_path_factory.mktemp("drift") / "home"
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    return Deployment(home, (("WANDB_MODE", "offline"),))


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "no_drift"]
    return found


def test_the_first_day_has_a_profile_and_nothing_to_compare_with(first_day: Deployment) -> None:
    artifact = first_day.artifacts(DAY)["reports/drift"]
    assert artifact.manifest.metrics["reference"] == "none"
    assert artifact.manifest.metrics["breached"] == []
    assert (artifact.path / "profile" / "samples.parquet").is_file()


def test_a_quiet_day_passes_and_names_its_reference(later: Deployment) -> None:
    model = {"embedding_size": 7, "epochs": 3}
    result = later.materialize(*DAILY, day=NEXT_DAY, models__als=model)
    assert result.success
    found = check(result)
    assert found.passed, found.metadata["headline"].value
    assert "plot" in found.metadata
    manifest = later.artifacts(NEXT_DAY)["reports/drift"].manifest
    assert (manifest.metrics["reference"], manifest.metrics["features"]) == (DAY, 22)
    assert ("reports/drift", DAY) in {(ref.key, ref.partition) for ref in manifest.recipe.inputs}


def test_a_plot_that_cannot_be_drawn_leaves_the_checks_word(
    later: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no such glyph")

    monkeypatch.setattr(drift, "worst_plot", fail)
    passed, metadata = drift.no_drift(later.artifacts(DAY)["reports/drift"])
    assert passed
    assert metadata["not shown"] == "ValueError: no such glyph"
    assert metadata["headline"]
    assert "cannot be shown" in caplog.text


def test_planted_prices_fail_the_check_and_not_the_run(later: Deployment) -> None:
    dear = dataclasses.replace(later, wrap=Dear)
    result = dear.materialize("dataset/items", "reports/drift", day=NEXT_DAY)
    assert result.success
    found = check(result)
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert "catalogue price (median" in str(found.metadata["headline"].value)
    breached = dear.artifacts(NEXT_DAY)["reports/drift"].manifest.metrics["breached"]
    assert set(breached) == {"catalogue_price", "interaction_price", "recommended_price"}
    entries = Outbox(later.home / "data" / "wandb" / "outbox").ready()
    alerts = [event["alert"] for entry in entries for event in entry.events if "alert" in event]
    assert alerts[-1]["title"] == f"Drift on {NEXT_DAY}"
    assert "catalogue price: median" in alerts[-1]["text"]


def test_a_model_of_other_settings_is_not_compared_and_data_are(later: Deployment) -> None:
    """What a sweep's winner does: its scale is no drift; the prices of the test before are."""
    model = {"embedding_size": 5, "epochs": 3}
    dear = dataclasses.replace(later, wrap=Dear)
    result = dear.materialize("models/als", "neighbors/als_vectors", "reports/drift", day=NEXT_DAY, models__als=model)
    metrics = dear.artifacts(NEXT_DAY)["reports/drift"].manifest.metrics
    assert set(metrics["of_other_settings"]) == set(OF_THE_MODEL)
    assert set(metrics["breached"]) == {"catalogue_price", "interaction_price"}
    assert "6 figures of the model: other settings, not compared" in str(check(result).metadata["headline"].value)
