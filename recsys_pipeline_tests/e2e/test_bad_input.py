"""What the pipeline says when its data is bad, and what it leaves behind."""

import dataclasses
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment, as_flags, failure
from recsys_pipeline_tests.misbehaving_sources import (
    FILE,
    AlwaysEmpty,
    Blurred,
    Breaking,
    Empty,
    Planting,
    event,
)

CHAIN = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "models/popularity")
ONE_TRIAL = """
method: grid
metric: {name: validation_accuracy, goal: maximize}
parameters:
  embedding_size: {value: 6}
  epochs: {value: 1}
"""
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Sloppy(Planting):
    """One readable event of the second day has no value, two lack more."""

    extra = (event(NOON), event(NOON, value=float("nan")), event(NOON, user_id=""), event(NOON, value=None))


@pytest.mark.parametrize("day", ["2999-01-01", "2025-12-31", "yesterday", "2026-1-2"])
@pytest.mark.parametrize("job", ["batch_daily", "sweep_weekly"])
def test_a_day_that_cannot_be_run_is_refused_at_once(deployment: Deployment, job: str, day: str) -> None:
    outcome = deployment.recsys("run", job, day)
    assert outcome.code == 1
    assert f"SettingError: {day} is no day that can be run" in outcome.text
    assert "from 2026-01-01 to " in outcome.text
    assert not Path(deployment.store.root).exists()


def test_the_day_that_is_still_going_on_is_refused(deployment: Deployment) -> None:
    today = datetime.now(UTC).date()
    outcome = deployment.recsys("run", "batch_daily", today.isoformat())
    assert outcome.code == 1
    assert f"to {today - timedelta(days=1)} (UTC)" in outcome.text


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("models/als.embeding_size=3", "embeding_size"),
        ("models/alz.epochs=3", "batch_daily has no asset 'models/alz' with fields; similar are models/als, "),
        ("models/als.epochs=many", "models/als.epochs must be a valid integer"),
        ("models/als.epochs=-1", "models/als.epochs must be at least 0, got -1"),
        ("models/als.epochs=[", "--set models/als.epochs=[: [ is no YAML value"),
        ("models/als.gravity=0", "models/als: AlsConfig.gravity is 0 with target 'one'"),
        ("reports/parity.nix=0", "reports/parity has no field 'nix'"),
        ("epochs=3", "write stage/subject.field=value"),
    ],
)
def test_a_bad_field_is_refused_before_anything_is_made(deployment: Deployment, flag: str, said: str) -> None:
    outcome = deployment.recsys("run", "batch_daily", DAY, "--set", flag)
    assert outcome.code == 1
    assert "SettingError" in outcome.text
    assert said in outcome.text
    assert not Path(deployment.store.root).exists()


def test_a_day_without_events_is_a_day(deployment: Deployment) -> None:
    quiet = dataclasses.replace(deployment, wrap=Empty)
    assert quiet.materialize(*CHAIN, day=DAY).success
    made = quiet.artifacts(DAY)
    assert made["dataset/interactions"].manifest.metrics["rows"] == 0
    assert made["dataset/snapshot"].manifest.metrics["days"] == 12
    assert made["models/popularity"].manifest.metrics["train_rows"] > 0


def test_a_history_without_events_ends_where_something_must_be_learned(deployment: Deployment) -> None:
    silent = dataclasses.replace(deployment, wrap=AlwaysEmpty)
    message = failure(silent.materialize(*CHAIN, day="2026-01-02"))
    assert message.startswith("folds/prequential failed: ")
    assert "dataset/snapshot has no interactions up to 2026-01-02" in message
    assert silent.artifacts("2026-01-02")["dataset/snapshot"].manifest.metrics["rows"] == 0


def test_a_source_that_breaks_off_changes_nothing_that_needs_its_events(first_day: Deployment, tmp_path: Path) -> None:
    shutil.copytree(first_day.home / "data" / "store", tmp_path / "data" / "store")
    broken = Deployment(tmp_path, wrap=Breaking)
    before = broken.everything()
    (tmp_path / "one.yaml").write_text(ONE_TRIAL)
    fields = {"dataset/looks.image_size": 16, "learning/stl_sweep.file": str(tmp_path / "one.yaml")}
    fields |= {"learning/stl_sweep.baseline": {"embedding_size": 6, "epochs": 1}}
    outcome = broken.recsys("run", "sweep_weekly", NEXT_DAY, *as_flags(fields))
    assert outcome.code == 1
    assert "dataset/interactions failed: the source stopped after" in outcome.text
    assert "peer went away" in outcome.text
    after = broken.everything()
    without_events = {"dataset/items", "dataset/looks", "folds/triplets", "learning/stl_sweep"}
    assert {place: made for place, made in after.items() if place[0] not in without_events or place in before} == before
    assert ("learning/stl_sweep", NEXT_DAY) in after, "what needs no events is made"
    for artifact in after.values():
        artifact.verify()
    assert list(Path(broken.store.root).glob(".staging/*")) == []
    mended = dataclasses.replace(broken, wrap=lambda source: source)
    assert mended.materialize("dataset/interactions", day=NEXT_DAY).success


def test_too_many_bad_rows_fail_and_name_the_first(deployment: Deployment) -> None:
    sloppy = dataclasses.replace(deployment, wrap=Sloppy)
    strict = {"max_quarantine_share": 0.0001}
    message = failure(sloppy.materialize("dataset/interactions", day="2026-01-02", dataset__interactions=strict))
    assert "dataset/interactions failed: 3 of " in message
    assert f"of {FILE}: " in message
    assert "max_quarantine_share = 0.0001" in message
    assert sloppy.everything() == {}, "not even the good first day of the same stream"


def test_few_bad_rows_are_put_aside_with_file_row_and_reason(deployment: Deployment) -> None:
    sloppy = dataclasses.replace(deployment, wrap=Sloppy)
    assert sloppy.materialize("dataset/interactions", day="2026-01-02").success
    artifact = sloppy.artifacts("2026-01-02")["dataset/interactions"]
    rows = pq.read_table(artifact.path / "quarantine.parquet").to_pylist()
    assert sorted((row["source_file"], row["source_row"], row["reason"]) for row in rows) == [
        (FILE, 3, "value nan is not finite"),
        (FILE, 4, "user_id is empty"),
        (FILE, 5, "value is missing"),
    ]
    assert artifact.manifest.metrics["quarantined"] == 3


def test_an_image_that_does_not_decode_is_put_aside(deployment: Deployment) -> None:
    blurred = dataclasses.replace(deployment, wrap=Blurred)
    keys = ("dataset/items", "dataset/looks", "folds/triplets")
    assert blurred.materialize(*keys, day="2026-01-02", dataset__looks={"image_size": 16}).success
    looks = blurred.artifacts("2026-01-02")["dataset/looks"]
    rows = pq.read_table(looks.path / "quarantine.parquet").to_pylist()
    raw = [json.loads(row["raw"]) for row in rows]
    assert [row["reference"] for row in raw if row["product_id"] == "p000003"] == [Blurred.broken]
    assert all(row["reason"] for row in rows)
    assert "p000003" not in pq.read_table(looks.path / "products.parquet")["product_id"].to_pylist()
    assert looks.manifest.metrics["quarantined"] == len(rows)
