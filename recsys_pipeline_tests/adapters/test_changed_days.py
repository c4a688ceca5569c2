"""Closed days whose files change afterwards are told by day, and what only looks changed is not."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.core.dataset.days import day_marks
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import DAY
from recsys_pipeline_tests.adapters.growing_files import Feed, line

ROWS = 30


def usual(day: int, more: int = 0, value: str = "1") -> list[str]:
    rows = [line(f"d{day}n{number}", day, number) for number in range(ROWS + more)]
    return [rows[0].replace("::1::", f"::{value}::"), *rows[1:]]


@pytest.fixture(params=["days", "file"])
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Feed:
    """Six days that were taken in."""
    found = Feed(tmp_path, request.param)
    write(found, {day: usual(day) for day in range(6)})
    found.batch(5)
    return found


def write(feed: Feed, changed: dict[int, list[str]], days: int = 6) -> None:
    rows = {day: changed.get(day, usual(day)) for day in range(days)}
    if feed.layout == "file":
        feed.put([text for texts in rows.values() for text in texts])
        return
    for day in [day for day in rows if day in changed or day == days - 1]:
        feed.put(rows[day], day)


def test_rows_that_came_changed_or_went_after_a_day_was_closed_are_told(feed: Feed) -> None:
    write(feed, {0: usual(0, more=5), 1: usual(1, value="2"), 2: usual(2)[:-3]}, days=7)
    found = feed.batch(6)
    assert found.too_late == {DAY: 5, DAY + timedelta(days=1): 0, DAY + timedelta(days=2): -3}
    feed.batch(0)
    assert DAY not in feed.batch(6).too_late, "a day that is read again is up to date"


def test_files_that_only_grew_or_were_touched_are_not(feed: Feed) -> None:
    write(feed, {}, days=7)
    for path in feed.root.glob("**/*.dat"):
        os.utime(path, ns=(1, 1))
    assert feed.batch(6).too_late == {}


def test_the_fingerprints_of_days_are_those_of_each_day(feed: Feed) -> None:
    source = feed.open()
    days = Window.of_days(DAY, source.days().last or DAY)
    assert source.fingerprints(days) == {
        day: source.fingerprint(Window.of_day(day)) for day in days.days() if day not in source.days().absent
    }


def test_marks_are_those_of_the_written_files(feed: Feed) -> None:
    source, window = feed.open(), Window.of_days(DAY + timedelta(days=5), DAY + timedelta(days=5))
    (mark,) = day_marks(source.interactions(window), window).values()
    stored = feed.store.get("dataset/interactions", date(2026, 3, 6).isoformat()).manifest.metrics
    assert (mark.rows, mark.digest) == (ROWS, stored["source_mark"])
