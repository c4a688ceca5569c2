"""The arrival sensor and the partitions of sources that end: a new file is seen, asked for once, and in order."""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.intake.ingestion import ingest
from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.sources import DayRange, Source
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs import resources
from recsys_pipeline.defs.arrival import AT_ONCE, source_arrival
from recsys_pipeline.defs.partitions import daily_partitions, partitions_of
from recsys_pipeline.defs.resources import SourceResource, StoreResource
from recsys_pipeline.defs.sensors import build_sensors
from recsys_pipeline_tests.adapters.file_fixtures import source_over

JOB: Any = dg.define_asset_job("batch_daily")
FIRST = date(2026, 3, 1)


class Feed:
    """A folder into which a file falls each day, the store, and the sensor over both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ArtifactStore(str(root / "store"), cache=root / "cache")
        self.cursor: str | None = None
        self.sensor: Any = None

    def arrive(self, day: int, *events: int, hour: int = 10) -> None:
        path = self.root / "feed" / f"2026-03-{day:02d}.dat"
        path.parent.mkdir(exist_ok=True)
        second = int(datetime(2026, 3, day, hour, tzinfo=UTC).timestamp())
        path.write_text("".join(f"u{number}::i{number}::4.5::{second + number}\n" for number in events))
        os.utime(path, ns=(len(events), len(events)))

    def open(self) -> FilesSource:
        return source_over(self.root / "feed", path="*.dat", layout="days")

    def load(self, today: date) -> None:
        """Load the code location on a day."""
        self.sensor = source_arrival(JOB, daily_partitions(self.open().days(), today))

    def batch(self, day: int) -> None:
        source = self.open()

        def recipe_of(of: date) -> Recipe:
            return Recipe(KEY, of.isoformat(), (), {"source": source.fingerprint(Window.of_day(of))}, "v1", {})

        ingest(self.store, source, date(2026, 3, day), recipe_of, max_quarantine_share=0.0)

    def tick(self, today: date) -> list[str] | str:
        """Days that the sensor asks for when it looks on a day, or why it asks for none."""
        context = dg.build_sensor_context(
            cursor=self.cursor, resources={"source": SourceResource(), "store": StoreResource()}
        )
        noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
        with dg.partition_loading_context(effective_dt=noon):
            result = self.sensor(context)
        if isinstance(result, dg.SkipReason):
            return str(result.skip_message)
        self.cursor = result.cursor
        assert len({request.run_key for request in result.run_requests}) == len(result.run_requests)
        return [request.partition_key[-2:] for request in result.run_requests]


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    made = Feed(tmp_path)
    made.arrive(1, 1)
    opened: list[FilesSource] = []

    def source() -> FilesSource:
        """One object for the life of the process, as in the daemon."""
        if not opened:
            opened.append(made.open())
        return opened[0]

    monkeypatch.setattr(resources, "configured_source", source)
    monkeypatch.setattr(StoreResource, "open", lambda _: made.store)
    return made


def test_a_first_run_brings_all_history_and_then_each_new_day_is_asked_for_once(feed: Feed) -> None:
    feed.arrive(2, 1)
    feed.load(date(2026, 3, 3))
    assert feed.tick(date(2026, 3, 3)) == ["02"]
    assert "2026-03-02 was asked for already" in feed.tick(date(2026, 3, 3))
    feed.batch(2)
    assert feed.tick(date(2026, 3, 3)) == "all days up to 2026-03-02 are up to date; waiting for data of 2026-03-03"
    feed.arrive(3, 1)
    assert "waiting for data of 2026-03-03" in feed.tick(date(2026, 3, 3)), "that day is not over"
    assert feed.tick(date(2026, 3, 4)) == ["03"], "a file that came while the process lived"


def test_days_are_asked_for_in_order_and_a_few_at_a_time(feed: Feed) -> None:
    feed.batch(1)
    for day in range(2, 9):
        feed.arrive(day, 1)
    feed.load(date(2026, 3, 20))
    asked = [feed.tick(date(2026, 3, 20)) for _ in range(3)]
    assert asked == [["02", "03", "04"], ["05", "06", "07"], ["08"]]
    assert len(asked[0]) == AT_ONCE
    assert "failed; run it by hand" in feed.tick(date(2026, 3, 20))


def test_a_day_that_failed_is_asked_for_again_when_its_file_changes(feed: Feed) -> None:
    feed.batch(1)
    feed.arrive(2, 1)
    feed.load(date(2026, 3, 20))
    assert feed.tick(date(2026, 3, 20)) == ["02"]
    feed.arrive(2, 1, 2)
    assert feed.tick(date(2026, 3, 20)) == ["02"]


def test_a_day_without_a_file_is_asked_for_once_it_comes_and_delays_nothing(
    feed: Feed,
) -> None:
    for day in (3, 4):
        feed.arrive(day, 1)
    feed.batch(4)
    feed.load(date(2026, 3, 20))
    assert "up to date" in feed.tick(date(2026, 3, 20))
    feed.arrive(3, 1, 2)
    assert feed.tick(date(2026, 3, 20)) == ["04"]
    feed.arrive(2, 1)
    assert feed.tick(date(2026, 3, 20)) == ["02"]


def test_late_rows_ask_for_the_newest_day_once(feed: Feed) -> None:
    for day in (2, 3, 4):
        feed.arrive(day, 1)
    feed.batch(4)
    feed.load(date(2026, 3, 20))
    feed.arrive(3, 1, 2)
    assert feed.tick(date(2026, 3, 20)) == ["04"], "its batch takes the third in"
    assert "2026-03-04 was asked for already" in feed.tick(date(2026, 3, 20))
    feed.batch(4)
    assert "up to date" in feed.tick(date(2026, 3, 20))
    feed.arrive(1, 1, 2, 3)
    assert "up to date" in feed.tick(date(2026, 3, 20)), "older than the overlap"


def test_an_archive_that_grows_asks_for_a_reload_in_words(feed: Feed) -> None:
    feed.load(date(2026, 9, 1))
    feed.batch(1)
    feed.arrive(2, 1)
    told = feed.tick(date(2026, 9, 1))
    assert "data up to 2026-03-02" in told
    assert "partitions of this code location end with 2026-03-01: reload the code location" in told
    feed.load(date(2026, 9, 1))
    assert feed.tick(date(2026, 9, 1)) == ["02"]


@pytest.mark.parametrize(
    ("last", "today", "newest"),
    [
        (date(2026, 3, 9), date(2026, 3, 20), "2026-03-19"),
        (date(2026, 3, 9), date(2026, 5, 8), "2026-05-07"),
        (date(2026, 3, 9), date(2026, 5, 9), "2026-03-09"),
        (None, date(2027, 1, 1), "2026-12-31"),
    ],
    ids=["days ago", "60 days ago", "61 days ago", "without end"],
)
def test_partitions_go_on_except_those_of_an_archive(last: date | None, today: date, newest: str) -> None:
    partitions = daily_partitions(DayRange(FIRST, last), today)
    with dg.partition_loading_context(effective_dt=datetime(today.year, today.month, today.day, 1, tzinfo=UTC)):
        assert partitions.get_first_partition_key() == "2026-03-01"
        assert partitions.get_last_partition_key() == newest


def test_the_sensor_is_there_for_sources_that_end_and_off(feed: Feed) -> None:
    def found(source: Source) -> list[Any]:
        sensors = build_sensors([JOB], partitions_of(source, 0), has_end=source.days().last is not None)
        return [sensor for sensor in sensors if sensor.name == "source_arrival"]

    assert found(Simulator(SIZES["tiny"])) == [], "it goes on"
    (sensor,) = found(feed.open())
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert [target.job_name for target in sensor.targets] == ["batch_daily"]
