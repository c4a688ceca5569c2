"""Hour files: whatever the order and delay in which events arrive, each counts once, in its own hour."""

import itertools
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.intake.hourly import KEY, IngestedHours, hour_files, ingest_hours
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import HOUR, HOUR_KEY, Window

MIDNIGHT = datetime(2026, 1, 6, tzinfo=UTC)
FOLDERS = itertools.count()
FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Stream:
    """Events, each with the number of the hour at whose end it has arrived; only what has arrived is told."""

    events: list[tuple[int, dict[str, Any]]]
    now: int = 10**6
    name: str = "stream"
    provides: frozenset[str] = frozenset({"interactions"})
    meaning: SourceMeaning = field(default_factory=lambda: SourceMeaning(WEB_LOG))
    broken: set[int] = field(default_factory=set)
    windows: list[Window] = field(default_factory=list)
    last: date | None = None

    def days(self) -> DayRange:
        return DayRange(date(2026, 1, 1), self.last)

    def _arrived(self, window: Window) -> list[dict[str, Any]]:
        return [
            row for arrival, row in self.events
            if arrival <= self.now and window.start <= row["timestamp"] < window.end
        ]  # fmt: skip

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        self.windows.append(window)
        hours = {int((start - MIDNIGHT) / HOUR) for start in window.periods(HOUR)}
        if hours & self.broken:
            raise SourceError("the cable is cut")
        return pa.Table.from_pylist(self._arrived(window), schema=INTERACTIONS).to_reader()

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return f"{table} {len(self._arrived(window))}"

    def items(self, as_of: datetime) -> pa.Table:
        raise NotImplementedError

    looks = items

    def image(self, reference: str) -> bytes:
        raise NotImplementedError


def at(minutes: int, number: int = 0) -> dict[str, Any]:
    return {"user_id": f"u{number}", "item_id": "i", "event": "click", "value": 1.0, "request_id": f"r{number}",
            "timestamp": MIDNIGHT + timedelta(minutes=minutes)}  # fmt: skip


def hour(number: int) -> Window:
    return Window.of_hour(MIDNIGHT + number * HOUR)


def take_in(store: ArtifactStore, source: Stream, number: int, since: int = 0, **options: Any) -> IngestedHours:
    def recipe_of(window: Window) -> Recipe:
        key = window.start.strftime(HOUR_KEY)
        return Recipe(KEY, key, (), {"source": source.fingerprint(window)}, "v1", {})

    return ingest_hours(
        store, source, hour(number), MIDNIGHT + since * HOUR, recipe_of, max_quarantine_share=0.0, **options
    )


def digests(store: ArtifactStore) -> dict[str, str]:
    return {key: store.get(KEY, key).manifest.digest for key in store.partitions(KEY)}


def new_store(folder: Path) -> ArtifactStore:
    return ArtifactStore(str(folder / str(next(FOLDERS))), cache=folder / "cache")


ARRIVALS = st.lists(st.tuples(st.integers(0, 5 * 60 - 1), st.integers(0, 2)), max_size=12)


@FEW
@given(arrivals=ARRIVALS, data=st.data())
def test_late_events_end_where_punctual_ones_do(
    arrivals: list[tuple[int, int]], data: st.DataObject, tmp_path: Path
) -> None:
    """Hours are run in order, each event arrives up to `late_hours` after its own; in the end nobody can tell."""
    events = [(minutes // 60 + delay, at(minutes, number)) for number, (minutes, delay) in enumerate(arrivals)]
    late, punctual = new_store(tmp_path), new_store(tmp_path)
    source = Stream(data.draw(st.permutations(events)))
    for number in range(8):
        source.now = number
        take_in(late, source, number, late_hours=2)
    take_in(punctual, Stream(events), 7)
    assert digests(late) == digests(punctual)
    rows = [row for file, _ in [hour_files(late, Window(MIDNIGHT, hour(7).end))] for one in file
            for row in pq.read_table(one.path / "interactions.parquet")["user_id"].to_pylist()]  # fmt: skip
    assert sorted(rows) == sorted(f"u{number}" for number in range(len(events))), "each event counts once"


@FEW
@given(order=st.permutations(range(4)))
def test_hours_that_are_backfilled_in_any_order_are_the_same(order: list[int], tmp_path: Path) -> None:
    source = Stream([(0, at(minutes, minutes)) for minutes in (5, 59, 60, 119, 121, 239)])
    store, expected = new_store(tmp_path), new_store(tmp_path)
    for number in order:
        take_in(store, source, number, since=number)
    take_in(expected, source, 3)
    assert digests(store) == digests(expected)


def test_missing_hours_are_read_as_one_stream_and_kept_after_that(tmp_path: Path) -> None:
    store, source = new_store(tmp_path), Stream([(0, at(30)), (0, at(200))])
    found = take_in(store, source, 4)
    assert [window.start for window in source.windows] == [hour(4).start, hour(0).start]
    assert len(found.artifacts) == 5
    assert found.artifacts[-1].manifest.recipe.partition == "2026-01-06-04:00"
    again = take_in(store, source, 4)
    assert [artifact.reused for artifact in again.artifacts] == [True]
    assert len(source.windows) == 2, "nothing was read again"


def test_what_comes_later_than_the_window_is_left_to_the_batch(tmp_path: Path) -> None:
    store, source = new_store(tmp_path), Stream([(0, at(10)), (4, at(20, 1))])
    source.now = 0
    take_in(store, source, 0)
    before = digests(store)
    source.now = 4
    take_in(store, source, 4, late_hours=3)
    assert digests(store)["2026-01-06-00:00"] == before["2026-01-06-00:00"]


def test_a_copy_of_an_event_counts_once_and_a_second_request_twice(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    source = Stream([(0, at(10)), (0, at(10)), (0, {**at(10), "request_id": "another"})])
    (made,) = take_in(store, source, 0).artifacts
    told = made.manifest.metrics
    assert (told["rows"], told["quarantined"], told["repeats"]) == (2, 0, 1)


def test_a_bad_hour_keeps_no_other_out_and_is_tried_again(tmp_path: Path) -> None:
    store, source = new_store(tmp_path), Stream([(0, at(30)), (0, at(90)), (0, at(150))], broken={1})
    found = take_in(store, source, 3)
    assert found.failed == {"2026-01-06-01:00": "the cable is cut"}
    _, absent = hour_files(store, Window(MIDNIGHT, hour(3).end))
    assert absent == ["2026-01-06-01:00"]
    source.broken = set()
    assert [one.manifest.recipe.partition for one in take_in(store, source, 4).artifacts] == [
        "2026-01-06-01:00", "2026-01-06-04:00"
    ]  # fmt: skip


def test_hours_whose_files_were_deleted_are_read_again(tmp_path: Path) -> None:
    store, source = new_store(tmp_path), Stream([(0, at(10)), (0, at(200))])
    take_in(store, source, 4)
    for key in ("2026-01-06-00:00", "2026-01-06-03:00"):
        shutil.rmtree(store.get(KEY, key).path)
    assert [one.manifest.recipe.partition for one in take_in(store, source, 5).artifacts] == [
        "2026-01-06-00:00", "2026-01-06-03:00", "2026-01-06-05:00"
    ]  # fmt: skip
    assert store.get(KEY, "2026-01-06-00:00").manifest.metrics["rows"] == 1


def test_an_hour_of_a_day_that_has_not_arrived_is_refused_and_read_when_it_has(tmp_path: Path) -> None:
    """An empty file in its place would be closed when the day's rows come, and the overlay would lack them."""
    store, source = new_store(tmp_path), Stream([(0, at(10))], last=date(2026, 1, 5))
    with pytest.raises(SourceError, match="stream has data up to 2026-01-05: 2026-01-06-00:00 has not arrived"):
        take_in(store, source, 0)
    assert store.partitions(KEY) == []
    source.last = date(2026, 1, 6)
    take_in(store, source, 9)
    assert store.get(KEY, "2026-01-06-00:00").manifest.metrics["rows"] == 1


def test_where_the_hour_itself_fails_nothing_is_written(tmp_path: Path) -> None:
    store, source = new_store(tmp_path), Stream([], broken={3})
    with pytest.raises(SourceError, match="cable"):
        take_in(store, source, 3)
    assert store.partitions(KEY) == []
    assert list(store.staging.iterdir()) == []
