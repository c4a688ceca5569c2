"""Ingestion: missing days are caught up on, closed days stay, and nothing of the source's changes is lost."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake import ingestion
from recsys_pipeline.adapters.intake.ingestion import KEY, day_entries, open_snapshot
from recsys_pipeline.adapters.intake.pace import paced
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import ArtifactError, SourceError
from recsys_pipeline_tests.adapters.arriving import a_row_a_day, batch, day, days_read, take_in, write_day


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


def test_missing_days_are_read_as_ranges_and_the_last_is_the_one_asked_for(store: ArtifactStore) -> None:
    source = a_row_a_day(9)
    assert days_read(take_in(store, source, 1)) == ["2026-03-01", "2026-03-02"]
    assert days_read(take_in(store, source, 4)) == ["2026-03-03", "2026-03-04", "2026-03-05"]
    assert source.read == [(day(0), day(1)), (day(2), day(4))]
    (again,) = take_in(store, source, 4).artifacts
    assert (again.manifest.recipe.partition, again.reused) == ("2026-03-05", True)
    _, entries = day_entries(store, day(2))
    assert [(entry.day, entry.rows) for entry in entries] == [(day(n).isoformat(), 1) for n in range(3)]


def test_a_changed_source_renews_only_the_day_that_is_asked_for(store: ArtifactStore) -> None:
    source = a_row_a_day(3)
    take_in(store, source, 2, late_days=0)
    source.arrives |= {(24 * number + 1, 9): 0 for number in range(3)}
    assert days_read(take_in(store, source, 1, late_days=0)) == ["2026-03-02"]
    assert source.read[-1] == (day(1), day(1))


def test_a_source_that_changes_while_it_is_read_leaves_the_day_stale(store: ArtifactStore) -> None:
    source = a_row_a_day(1)

    def grow() -> None:
        source.arrives[1, 9] = 0

    source.while_read = grow
    take_in(store, source, 0)
    source.while_read = lambda: None
    assert days_read(take_in(store, source, 0)) == ["2026-03-01"], "what was read may be of either version"
    assert days_read(take_in(store, source, 0)) == []


def test_each_day_says_where_its_settings_are_from(store: ArtifactStore) -> None:
    origins = {"late_days": "default", "max_quarantine_share": "this run's form"}
    made = take_in(store, a_row_a_day(2), 1, origins=origins).artifacts
    assert [one.manifest.origins for one in made] == [origins, origins]


def test_a_long_reading_says_how_far_it_is(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "paced", partial(paced, every_s=0.0))
    said: list[str] = []
    take_in(store, a_row_a_day(9), 8, say=said.append)
    assert said[0] == "  reading 9 days, 2026-03-01 to 2026-03-09"
    assert "  read: rows 9" in said
    assert said[-1] == "  written: days 8, of 9"


def test_it_says_nothing_before_some_seconds_have_passed() -> None:
    said: list[str] = []
    tell = paced(said.append, every_s=60.0)
    tell("read", {"rows": 1.0})
    assert said == []


def test_an_event_named_row_does_not_hide_the_number_of_rows(store: ArtifactStore) -> None:
    source = a_row_a_day(1)
    source.event = "row"
    take_in(store, source, 0)
    metrics = store.get(KEY, day(0).isoformat()).manifest.metrics
    mark = metrics.pop("source_mark")
    assert (metrics, len(mark)) == ({"rows": 1, "quarantined": 0, "repeats": 0, "event row as interest": 1}, 64)


def test_a_source_that_fails_leaves_nothing_and_the_next_run_completes(store: ArtifactStore) -> None:
    source = a_row_a_day(2)
    source.bad = {day(1)}
    with pytest.raises(SourceError, match="2026-03-02 is broken"):
        take_in(store, source, 1)
    assert store.partitions(KEY) == []
    assert list(store.staging.iterdir()) == []
    source.bad = set()
    assert days_read(take_in(store, source, 1)) == ["2026-03-01", "2026-03-02"]


def test_a_snapshot_can_be_read_on_a_machine_that_has_none_of_its_files(store: ArtifactStore, tmp_path: Path) -> None:
    source = a_row_a_day(2)
    for number in (0, 1):
        take_in(store, source, number)
        write_day(store, number)
    url = store.fs.unstrip_protocol(store.root)
    elsewhere = ArtifactStore(url, cache=tmp_path / "another machine")
    snapshot = open_snapshot(elsewhere, elsewhere.get("dataset/snapshot", day(1).isoformat()), events=True)
    assert snapshot.user_ids.tolist() == ["u0", "u1"]
    assert snapshot.ratings().user.tolist() == [0, 1]


@pytest.fixture
def here(tmp_path: Path) -> ArtifactStore:
    """A store on this disk."""
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


@pytest.mark.parametrize(("name", "of"), [("snapshot.json", 2), ("users.parquet", 0)])
def test_a_changed_byte_in_any_snapshot_that_a_later_one_stands_on_is_named(
    here: ArtifactStore, name: str, of: int
) -> None:
    for number in range(3):
        batch(here, a_row_a_day(3), number)
    latest = here.get("dataset/snapshot", day(2).isoformat())
    assert open_snapshot(here, latest).n_users == 3
    damaged = here.get("dataset/snapshot", day(of).isoformat()).path / name
    content = damaged.read_bytes()
    damaged.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    told = f"{damaged} is missing or corrupt: materialize dataset/snapshot {day(of)} again"
    with pytest.raises(ArtifactError, match=told):
        open_snapshot(here, latest)


def test_a_day_that_somebody_deleted_is_read_again_however_old_it_is(here: ArtifactStore) -> None:
    source = a_row_a_day(9)
    for number in range(8):
        batch(here, source, number)
    gone = here.get(KEY, day(1).isoformat()).path
    shutil.rmtree(gone)
    with pytest.raises(ArtifactError, match=f"{gone} is gone: materialize {KEY} {day(1)} again"):
        open_snapshot(here, here.get("dataset/snapshot", day(7).isoformat()), events=True)
    source.arrives[30, 99] = 0  # the day has more rows now, so what is made in its place is another version
    assert days_read(batch(here, source, 8)) == [day(1).isoformat(), day(8).isoformat()]
    assert here.get(KEY, day(1).isoformat()).path != gone
    whole = open_snapshot(here, here.get("dataset/snapshot", day(8).isoformat()), events=True)
    assert len(whole.ratings()) == whole.rows == 10
