"""Layout `days`: a file per day, days whose file is not there, and what a batch and an hour make of them."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake.hourly import KEY as HOURS_KEY
from recsys_pipeline.adapters.intake.hourly import ingest_hours
from recsys_pipeline.adapters.intake.ingestion import Ingested, ingest
from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import HOUR, HOUR_KEY, Window
from recsys_pipeline_tests.adapters.file_fixtures import DAY, MIDNIGHT, rating_line, rows_of, source_over, write_lines


class Feed:
    """A folder into which day files fall in any order, and the store that takes them in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ArtifactStore(str(root / "store"), root / "cache")

    def arrive(self, *numbers: int) -> None:
        for number in numbers:
            write_lines(self.root / "feed" / f"{_day(number)}.dat", [rating_line(number, number * 86_400)])

    def open(self) -> FilesSource:
        return source_over(self.root / "feed", path="*.dat", layout="days")

    def batch(self, number: int) -> Ingested:
        source = self.open()

        def recipe_of(day: date) -> Recipe:
            return Recipe(KEY, day.isoformat(), (), {"source": source.fingerprint(Window.of_day(day))}, "v1", {})

        return ingest(self.store, source, _day(number), recipe_of, max_quarantine_share=0.0)

    def stored(self) -> dict[str, int]:
        return {day: self.store.get(KEY, day).manifest.metrics["rows"] for day in self.store.partitions(KEY)}


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def test_a_file_per_day_refuses_rows_of_other_days(tmp_path: Path) -> None:
    write_lines(tmp_path / "2026-03-01" / "a.csv", [rating_line(1, 5, ","), rating_line(2, 90_000, ",")])
    write_lines(tmp_path / "2026-03-01" / "b.csv", [rating_line(3, 6, ",")])
    write_lines(tmp_path / "2026-03-02" / "a.csv", [rating_line(4, 86_400, ",")])
    found = source_over(tmp_path, path="*/*.csv", layout="days")
    assert (found.days().first, found.days().last) == (DAY, _day(1))
    first_day = rows_of(found, Window.of_day(DAY))
    assert [row["user_id"] for row in first_day] == ["u1", "u2", "u3"]
    assert first_day[1]["defect"] == "timestamp 2026-03-02 01:00:00+00 is outside 2026-03-01, the day of its file"
    assert len(rows_of(found, Window.of_days(DAY, _day(1)))) == 4


@pytest.mark.parametrize(
    "window", [Window.of_day(_day(1)), Window.of_days(DAY, _day(2)), Window.of_hour(MIDNIGHT + 30 * HOUR)]
)
def test_a_window_with_a_day_without_a_file_is_refused(feed: Feed, window: Window) -> None:
    feed.arrive(0, 2)
    with pytest.raises(
        SourceError,
        match=r"no file of 2026-03-02 at \*\.dat below .*feed: .*a file without rows where it had no events",
    ):
        feed.open().interactions(window)


def test_the_days_without_a_file_are_known(feed: Feed) -> None:
    feed.arrive(0, 2, 5)
    days = feed.open().days()
    assert (days.first, days.last, sorted(days.absent)) == (DAY, _day(5), [_day(1), _day(3), _day(4)])


def test_an_empty_file_is_an_empty_day(feed: Feed) -> None:
    feed.arrive(0, 2)
    write_lines(feed.root / "feed" / f"{_day(1)}.dat", [])
    assert feed.batch(2).failed == {}
    assert feed.stored() == {"2026-03-01": 1, "2026-03-02": 0, "2026-03-03": 1}


def test_a_day_without_a_file_is_left_out_and_taken_in_whenever_its_file_comes(feed: Feed) -> None:
    feed.arrive(*(number for number in range(8) if number != 1))
    found = feed.batch(6)
    assert list(found.failed) == [_day(1)]
    assert "no file of 2026-03-02" in found.failed[_day(1)]
    assert "2026-03-02" not in feed.stored()
    feed.arrive(1)  # five days late, where the batch waits two days for late rows
    assert feed.batch(7).failed == {}
    assert feed.stored() == {_day(number).isoformat(): 1 for number in range(8)}


def test_a_file_that_is_taken_away_empties_no_day(feed: Feed) -> None:
    feed.arrive(0, 1, 2)
    feed.batch(1)
    (feed.root / "feed" / f"{_day(1)}.dat").unlink()
    assert list(feed.batch(2).failed) == [_day(1)]
    assert feed.stored()["2026-03-02"] == 1


def test_hours_of_a_day_without_a_file_are_left_out_and_taken_in_when_it_comes(feed: Feed) -> None:
    def hours() -> dict[str, str]:
        source = feed.open()

        def recipe_of(hour: Window) -> Recipe:
            key, settings = hour.start.strftime(HOUR_KEY), {"source": source.fingerprint(hour)}
            return Recipe(HOURS_KEY, key, (), settings, "v1", {})

        asked, since = Window.of_hour(MIDNIGHT + 49 * HOUR), MIDNIGHT + 22 * HOUR
        return ingest_hours(feed.store, source, asked, since, recipe_of, max_quarantine_share=0.0).failed

    feed.arrive(0, 2)
    assert list(hours()) == [f"{MIDNIGHT + number * HOUR:{HOUR_KEY}}" for number in range(24, 48)]
    assert len(feed.store.partitions(HOURS_KEY)) == 4
    feed.arrive(1)
    assert hours() == {}
    assert len(feed.store.partitions(HOURS_KEY)) == 28
