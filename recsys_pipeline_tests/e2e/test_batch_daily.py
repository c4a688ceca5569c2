"""The daily batch through `recsys run`: complete, closed lineage, idempotent, reproducible, incremental."""

import re
import shutil
from pathlib import Path

import pytest

from recsys_pipeline.adapters.wandb.outbox import Outbox, Stored
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment, versions

POINTER = "serving/champion"
"""It moves a pointer and stores nothing."""
LAST = {("dataset/joins", DAY), ("reports/daily", DAY), ("serving/decision", DAY)}
"""What nothing else is made from."""
TIMED = "reports/daily"
"""The page shows queries per second, so its bytes differ from run to run; all else is the same to the bit."""


@pytest.fixture(scope="module")
def later(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A copy of the first day's deployment, for tests that go on from there."""
    home = tmp_path_factory.mktemp("later") / "home"
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    return Deployment(home)


def test_every_asset_of_the_job_is_made(first_day: Deployment) -> None:
    from recsys_pipeline.definitions import defs

    expected = {key.to_user_string() for key in defs.resolve_job_def("batch_daily").asset_layer.executable_asset_keys}
    assert set(first_day.artifacts(DAY)) == expected - {POINTER}


def test_earlier_days_are_ingested_too(first_day: Deployment) -> None:
    days = first_day.store.partitions("dataset/interactions")
    assert days == [f"2026-01-{day:02d}" for day in range(1, 13)]


def test_every_day_of_events_says_where_its_settings_are_from(first_day: Deployment) -> None:
    days = [
        first_day.store.get("dataset/interactions", day) for day in first_day.store.partitions("dataset/interactions")
    ]
    assert {frozenset(one.manifest.origins) for one in days} == {frozenset({"max_quarantine_share", "late_days"})}


def test_every_version_is_whole(first_day: Deployment) -> None:
    found = versions(Path(first_day.store.root))
    assert len(found) == 12 + len(first_day.artifacts(DAY)) - 1
    for artifact in found:
        artifact.verify()


def test_every_input_of_every_manifest_is_in_the_store(first_day: Deployment) -> None:
    everything = first_day.everything()
    for (key, partition), artifact in everything.items():
        for ref in artifact.manifest.recipe.inputs:
            source = everything.get((ref.key, ref.partition))
            assert source is not None, f"{key}@{partition} was made from {ref.key}@{ref.partition}, which is absent"
            assert source.manifest.digest == ref.digest, f"{key}@{partition} was made from another {ref.key}"
    reached, todo = set(), [ref for last in LAST for ref in everything[last].manifest.recipe.inputs]
    while todo:
        ref = todo.pop()
        if (ref.key, ref.partition) not in reached:
            reached.add((ref.key, ref.partition))
            todo += everything[ref.key, ref.partition].manifest.recipe.inputs
    assert set(everything) - reached == LAST, (
        "the lineage of page, decision and joins reaches every artifact of the day"
    )


def test_manifests_name_the_dagster_run_and_the_libraries(first_day: Deployment) -> None:
    runs = {artifact.manifest.run_id for artifact in first_day.artifacts(DAY).values()}
    assert len(runs) == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", runs.pop())
    made = {key: artifact.manifest.recipe.libraries for key, artifact in first_day.artifacts(DAY).items()}
    assert all("python" in libraries for libraries in made.values())
    assert {"jax", "numpy", "XLA_FLAGS"} <= made["models/als"].keys(), "what it computes with, and under which flags"
    assert "jax" not in made["dataset/items"], "nothing that its code does not use"


def test_the_page_opens_anywhere(first_day: Deployment) -> None:
    page = (first_day.artifacts(DAY)[TIMED].path / "index.html").read_text()
    assert re.findall(r"<(?:script|link|iframe)[^>]*(?:src|href)=", page) == []
    assert [source[:30] for source in re.findall(r"<img[^>]*src=\"([^\"]*)", page) if source[:5] != "data:"] == []
    assert re.findall(r"url\((?!['\"]?(?:data:|#))", page) == []
    for shown in (DAY, "popularity", "cooccurrence", "als", "stl", "simulator-tiny"):
        assert shown in page
    assert first_day.artifacts(DAY)["dataset/snapshot"].manifest.digest[:12] in page


def test_every_training_and_report_is_a_run_in_wandb(first_day: Deployment) -> None:
    """They wait in the outbox; days of events, of which one run takes in many, are mirrored from their manifests."""
    entries = Outbox(first_day.home / "data" / "wandb" / "outbox").ready()
    outputs = [output for entry in entries for output in entry.outputs]
    made = {Stored.of(artifact) for artifact in first_day.artifacts(DAY).values()}
    assert {stored.key for stored in made - set(outputs)} == {"dataset/interactions"}
    assert len(outputs) == len(set(outputs)) == len(made) - 1
    assert {entry.state for entry in entries} == {"finished"}
    (promotion,) = [entry for entry in entries if not entry.outputs]
    assert (promotion.facts.name, [stored.key for stored in promotion.facts.inputs]) == (
        f"serving/champion {DAY}", ["serving/release"],
    )  # fmt: skip
    for entry in entries:
        if entry.outputs:
            refs = first_day.artifacts(DAY)[entry.outputs[0].key].manifest.recipe.inputs
            assert [stored.ref for stored in entry.facts.inputs] == list(refs)


def test_a_second_run_makes_nothing(later: Deployment, first_day: Deployment) -> None:
    outcome = later.batch(DAY)
    assert outcome.code == 0, outcome.text
    assert f"batch_daily {DAY}: 0 made, {len(first_day.artifacts(DAY))} up to date" in outcome.text
    assert later.digests(DAY) == first_day.digests(DAY)
    assert len(versions(Path(later.store.root))) == len(versions(Path(first_day.store.root)))


def test_recomputing_gives_the_same_digests(later: Deployment, first_day: Deployment) -> None:
    outcome = later.batch(DAY, "--recompute")
    assert outcome.code == 0, outcome.text
    assert f"{len(first_day.artifacts(DAY))} made, 0 up to date" in outcome.text
    again, before = later.digests(DAY), first_day.digests(DAY)
    assert {key for key in before if again[key] != before[key]} <= {TIMED}


def test_a_changed_field_remakes_that_asset_and_what_follows_from_it(later: Deployment) -> None:
    before = later.digests(DAY)
    result = later.materialize("models/als", "models/popularity", "neighbors/als_vectors", models__als={"reg": 0.2})
    assert result.success
    changed = {key for key, digest in later.digests(DAY).items() if digest != before[key]}
    assert changed == {"models/als", "neighbors/als_vectors"}


def test_the_next_day_adds_only_itself(later: Deployment, first_day: Deployment) -> None:
    before = {key: a.manifest for key, a in later.everything().items()}
    outcome = later.batch(NEXT_DAY)
    assert outcome.code == 0, outcome.text
    after = {key: a.manifest for key, a in later.everything().items()}
    assert {key: after[key] for key in before} == before
    assert {partition for _, partition in set(after) - set(before)} == {NEXT_DAY}
    assert set(later.artifacts(NEXT_DAY)) == set(first_day.artifacts(DAY))

    root = later.store.local_root
    today, tomorrow = (Snapshot.load(later.artifacts(day)["dataset/snapshot"].path, root) for day in (DAY, NEXT_DAY))
    assert today.digest != tomorrow.digest
    assert tomorrow.n_users > today.n_users, "someone joins every day, or a prefix proves nothing"
    assert tomorrow.user_ids.tolist()[: today.n_users] == today.user_ids.tolist()
    assert tomorrow.item_ids.tolist()[: today.n_items] == today.item_ids.tolist()
    assert tomorrow.rows == today.rows + later.artifacts(NEXT_DAY)["dataset/interactions"].manifest.metrics["rows"]

    folder = later.home / "data" / "reports" / "simulator-tiny"
    index = (folder / "index.html").read_text()
    assert re.findall(r'href="([^"#]+)"', index) == [f"{NEXT_DAY}.html", f"{DAY}.html"]
    page = (folder / f"{NEXT_DAY}.html").read_text()
    assert page == (later.artifacts(NEXT_DAY)[TIMED].path / "index.html").read_text()
    assert f"Since {DAY}: +" in page
