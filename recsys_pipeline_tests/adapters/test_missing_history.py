"""What is missing of a history: which days, about how many rows, why, and when it is too much."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake.missing_history import MissingFile, MissingHistory, missing_history
from recsys_pipeline_tests.adapters.file_fixtures import DAY
from recsys_pipeline_tests.adapters.growing_files import Feed, line


def usual(day: int, count: int = 20) -> list[str]:
    return [line(f"d{day}n{number}", day, number) for number in range(count)]


def unread(day: int) -> list[str]:
    return [line(f"d{day}n{number}", day, bad="time") for number in range(40)]


def after(feed: Feed, day: int) -> MissingHistory:
    """What is missing once the batch of that day has run."""
    found, source = feed.batch(day), feed.open()
    return missing_history(feed.store, source.days(), DAY.replace(day=day + 1), found)


def test_days_rows_and_reasons_are_told_until_the_days_are_there(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "days")
    for day in (0, 1, 2, 4, 5, 6):
        feed.put(unread(day) if day in (1, 2) else usual(day), day)
    found = after(feed, 6)
    assert (sorted(found.unread), found.absent) == (["2026-03-02", "2026-03-03"], ["2026-03-04"])
    assert (found.rows, found.rows_of_all) == (80, 160)
    assert found.told().startswith(
        "3 of 7 days up to 2026-03-07 are missing (~80 rows, 50.0% of all): 2026-03-02, 2026-03-03, 2026-03-04; 2 "
        "cannot be read (2026-03-02: 40 of 40 rows break the contract"
    )
    for day in (1, 2, 3):
        feed.put(usual(day), day)
    assert not after(feed, 6)


@pytest.mark.parametrize(
    ("unread", "absent", "rows", "is_too_much"),
    [(1, 0, 500, False), (2, 0, 10, False), (12, 0, 10, True), (2, 0, 200, True), (0, 60, 0, False)],
)
def test_more_than_a_share_of_days_or_rows_is_too_much_and_a_single_day_or_absent_ones_never(
    unread: int, absent: int, rows: int, is_too_much: bool
) -> None:
    days = {f"2026-03-{number:02}": "broken" for number in range(unread)}
    found = MissingHistory("2026-06-01", days, ["2026-05-01"] * absent, rows, 100, 1000)
    assert found.is_too_much(0.1) is is_too_much


def test_the_newest_finding_is_kept_and_only_other_days_are_news(tmp_path: Path) -> None:
    kept = MissingFile(tmp_path, "shop")
    one = MissingHistory("2026-03-03", {"2026-03-01": "broken"}, [], 4, 3, 12)
    assert kept.read() is None
    assert kept.write(one)
    assert not kept.write(MissingHistory("2026-03-04", {"2026-03-01": "broken"}, [], 4, 4, 16))
    found = kept.read()
    assert found is not None
    assert found.day == "2026-03-04"
    assert not kept.write(MissingHistory("2026-03-05", {}, [], 0, 5, 20))
    assert kept.read() is None
