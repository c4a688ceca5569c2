"""Ingestion: missing days are caught up on, closed days stay, and nothing of the source's changes is lost."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recsys_pipeline.adapters.ingestion import KEY, day_entries, ingest, open_snapshot
from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.store import ArtifactStore, Built
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.snapshots import Snapshot, write_snapshot
from recsys_pipeline.core.dataset.sources import DayRange, Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.types import Window

FIRST = date(2026, 3, 1)


class Log(Source):
    """A source with one event at noon of each day; `version` is its fingerprint."""

    name = "log"
    provides = frozenset({"interactions"})

    def __init__(self) -> None:
        self.event = "click"
        self.version = 1
        self.read: list[tuple[date, date]] = []
        self.while_read: Callable[[], None] = lambda: None

    def days(self) -> DayRange:
        return DayRange(FIRST, None)

    def fingerprint(self, window: Window, table: str = "interactions") -> str:  # noqa: ARG002 - it has one table
        return f"{window.start}-{self.version}"

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        days = list(window.days())
        self.read.append((days[0], days[-1]))
        self.while_read()
        noon = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in days]
        rows = [
            {
                "user_id": f"u{at.day}",
                "item_id": "i",
                "event": self.event,
                "value": float(self.version),
                "timestamp": at,
            }
            for at in noon
        ]
        return pa.Table.from_pylist(rows, schema=INTERACTIONS).to_reader()

    def items(self, as_of: datetime) -> pa.Table:
        raise SourceError(f"no items as of {as_of}")

    def looks(self, as_of: datetime) -> pa.Table:
        raise SourceError(f"no looks as of {as_of}")

    def image(self, reference: str) -> bytes:
        raise SourceError(f"no image {reference}")


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def take_in(store: ArtifactStore, source: Log, number: int, late_days: int = 0) -> list[str]:
    """Ingest up to a day; the days whose artifacts were made or found."""

    def recipe_of(at: date) -> Recipe:
        return Recipe(KEY, at.isoformat(), (), {"source": source.fingerprint(Window.of_day(at))}, "v1", {})

    made = ingest(store, source, day(number), recipe_of, max_quarantine_share=0.0, late_days=late_days).artifacts
    return [artifact.manifest.recipe.partition[-2:] + " reused" * artifact.reused for artifact in made]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


def test_missing_days_are_read_as_ranges_and_the_last_is_the_one_asked_for(store: ArtifactStore) -> None:
    source = Log()
    assert take_in(store, source, 2) == ["01", "02"]
    assert take_in(store, source, 5) == ["03", "04", "05"]
    assert source.read == [(day(1), day(2)), (day(3), day(5))]
    assert take_in(store, source, 5) == ["05 reused"]
    _, entries = day_entries(store, day(3))
    assert [(entry.day, entry.rows) for entry in entries] == [(day(n).isoformat(), 1) for n in (1, 2, 3)]


def test_a_changed_source_renews_only_the_day_that_is_asked_for(store: ArtifactStore) -> None:
    source = Log()
    take_in(store, source, 3)
    source.version = 2
    assert take_in(store, source, 2) == ["02"]
    assert source.read[-1] == (day(2), day(2))


def test_a_source_that_changes_while_it_is_read_leaves_the_day_stale(store: ArtifactStore) -> None:
    source = Log()

    def grow() -> None:
        source.version += 1

    source.while_read = grow
    take_in(store, source, 1)
    source.while_read = lambda: None
    assert take_in(store, source, 1) == ["01"], "read again, since what was read may be of either version"
    assert take_in(store, source, 1) == ["01 reused"]


def test_an_event_named_row_does_not_hide_the_number_of_rows(store: ArtifactStore) -> None:
    source = Log()
    source.event = "row"
    take_in(store, source, 1)
    metrics = store.get(KEY, day(1).isoformat()).manifest.metrics
    assert metrics == {"rows": 1, "quarantined": 0, "event row": 1}


def test_a_source_that_fails_leaves_nothing_and_the_next_run_completes(store: ArtifactStore) -> None:
    source = Log()

    def fail() -> None:
        raise SourceError("the cable is cut")

    source.while_read = fail
    with pytest.raises(SourceError, match="cable"):
        take_in(store, source, 2)
    assert store.partitions(KEY) == []
    assert list(store.staging.iterdir()) == []
    source.while_read = lambda: None
    assert take_in(store, source, 2) == ["01", "02"]


def test_a_snapshot_can_be_read_on_a_machine_that_has_none_of_its_files(store: ArtifactStore, tmp_path: Path) -> None:
    source = Log()
    previous: Snapshot | None = None
    for number in (1, 2):
        take_in(store, source, number)
        _, entries = day_entries(store, day(number))
        recipe = Recipe("dataset/snapshot", day(number).isoformat(), (), {}, "v1", {})

        def build(directory: Path, entries=entries, previous=previous) -> Built:
            return Built({}, write_snapshot(directory, store.local_root, entries, previous).digest)

        previous = open_snapshot(store, store.build(recipe, build))
    url = store.fs.unstrip_protocol(store.root)
    elsewhere = ArtifactStore(url, cache=tmp_path / "another machine")
    snapshot = open_snapshot(elsewhere, elsewhere.get("dataset/snapshot", day(2).isoformat()))
    assert snapshot.user_ids.tolist() == ["u1", "u2"]
    assert snapshot.ratings().user.tolist() == [0, 1]
