"""Every row of the source is once in a day file or a quarantine, or waits in a day that stays open."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline_tests.adapters.growing_files import Feed, line

LAST = 3
ROWS = st.lists(st.tuples(st.integers(0, LAST), st.sampled_from(["", "", "", "", "time", "value"])), max_size=24)


@settings(max_examples=4, deadline=None)
@given(rows=ROWS, batches=st.lists(st.integers(0, LAST), min_size=1, max_size=3), mended=st.booleans())
@pytest.mark.parametrize("layout", ["file", "days"])
def test_every_row_is_held_once_or_waits(layout: str, rows: list, batches: list[int], mended: bool) -> None:
    """Whatever rows are bad, whichever days are run in whatever order, and where files are mended in between."""
    with TemporaryDirectory() as folder:
        feed = Feed(Path(folder), layout, max_share=0.4)
        good = [(day, "") for day in range(LAST + 1)]
        named = [(f"i{number}", day, bad) for number, (day, bad) in enumerate([*good, *rows])]
        for batch, day in enumerate([*batches, LAST]):
            is_mended = mended and batch > 0
            write(feed, [(name, at, bad if name != "i5" or not is_mended else "") for name, at, bad in named])
            try:
                feed.batch(day)
            except DataError:
                continue  # that day stays open
        held = feed.held()
        assert set(held.values()) <= {1} | ({2} if mended else set()), "as it was before it was mended, too"
        stored = set(feed.store.partitions("dataset/interactions"))
        days = {f"2026-03-0{day + 1}": day for day in range(LAST + 1)}
        missing = {name for name, at, bad in named if not held[name] and days_of(at, bad, layout, days) & stored}
        if f"2026-03-0{LAST + 1}" in stored:
            assert not missing, "what waits belongs to a day that is not stored"


def days_of(at: int, bad: str, layout: str, days: dict[str, int]) -> set[str]:
    """The days that must be stored for a row to be held: any for one without a time in a file that grows."""
    return {name for name, number in days.items() if number == at} if layout == "days" or bad != "time" else set(days)


def write(feed: Feed, rows: list[tuple[str, int, str]]) -> None:
    lines = {
        day: [line(name, at, int(name[1:]), bad) for name, at, bad in rows if at == day] for day in range(LAST + 1)
    }
    if feed.layout == "file":
        feed.put([text for day in lines for text in lines[day]])
        return
    for day, texts in lines.items():
        feed.put(texts, day)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def usual(day: int, count: int = 200) -> list[str]:
    return [line(f"d{day}n{number}", day, number) for number in range(count)]


def test_a_bad_file_of_a_first_bulk_read_stays_open_and_is_read_once_it_is_mended(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "days")
    for day in range(6):
        feed.put([text.rsplit("::", 1)[0] + "::soon" for text in usual(day, 20)] if day == 2 else usual(day, 20), day)
    found = feed.batch(5)
    assert [day.isoformat() for day in found.failed] == ["2026-03-03"]
    assert "20 of 20 rows break the contract" in next(iter(found.failed.values()))
    assert list(found.rows_failed.values()) == [20]
    assert "2026-03-03" not in feed.store.partitions("dataset/interactions"), "not stored as an empty day"
    assert feed.quarantined() == {}, "nor do its rows stand in another day's quarantine"
    feed.put(usual(2, 20), 2)
    feed.put(usual(6, 20), 6)
    assert feed.batch(6).failed == {}
    assert sum(feed.held().values()) == 140


def test_few_bad_rows_of_a_day_are_put_aside_with_that_day_however_it_is_read(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "days")
    for day in range(3):
        feed.put([*usual(day), line(f"late{day}", day + 9)] if day == 1 else usual(day), day)
    feed.batch(2)
    assert feed.quarantined() == {"2026-03-02": 1}


def test_rows_without_a_time_in_a_file_that_grows_are_kept_by_the_day_that_reads_them_first(feed: Feed) -> None:
    lines: list[str] = []
    for day in range(5):
        lines += [*usual(day), line(f"lost{day}", day, bad="time")]
        feed.put(lines)
        feed.batch(day)
    assert feed.quarantined() == {f"2026-03-0{day + 1}": 1 for day in range(5)}
    feed.batch(2)
    feed.batch(4)
    assert set(feed.held().values()) == {1}, "running a day again takes them in no second time"


def test_as_many_equal_rows_without_a_time_as_there_are_are_kept(feed: Feed) -> None:
    lost = line("lost", 0, bad="time")
    feed.put([*usual(0), lost])
    feed.batch(0)
    feed.put([*usual(0), lost, *usual(1), lost])
    feed.batch(1)
    assert feed.held()["lost"] == 2


def test_too_many_rows_without_a_time_are_red_and_nothing_is_stored(feed: Feed) -> None:
    feed.put([*usual(0), *(line(f"lost{number}", 0, bad="time") for number in range(9))])
    with pytest.raises(DataError, match=r"9 of 209 rows break the contract.* timestamp 'soon' is not an epoch"):
        feed.batch(0)
    assert feed.store.partitions("dataset/interactions") == []


def test_rows_without_a_time_count_once_in_releases(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "releases")
    lines: list[str] = []
    for day in range(4):
        lines += [*usual(day), *([line(f"lost{day}", day, bad="time")] if day in (0, 2) else [])]
        feed.put(lines, day + 1)
    feed.batch(3)
    assert feed.quarantined() == {"2026-03-01": 1, "2026-03-03": 1}
    assert set(feed.held().values()) == {1}


def test_a_row_of_1970_is_put_aside_and_makes_no_days(feed: Feed) -> None:
    feed.put([*usual(0), *usual(1), "u::old::1::5", "u::ms::1::1772323"])
    feed.batch(1)
    assert feed.store.partitions("dataset/interactions") == ["2026-03-01", "2026-03-02"]
    assert (feed.held()["old"], feed.held()["ms"]) == (1, 1)
    assert feed.quarantined() == {"2026-03-02": 2}


def test_a_stray_file_name_of_another_year_is_refused_by_name(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "days")
    for day in range(30):
        feed.put(usual(day, 1), day)
    feed.put([], -20_000)
    with pytest.raises(SourceError, match=r"feed/1971-05-29\.dat: months away from the dates of all other files"):
        feed.open().days()


def test_a_declared_first_day_leaves_earlier_days_out(feed: Feed) -> None:
    feed.put([*usual(0), *usual(1), *usual(2)])
    config = feed.open().config.model_copy(update={"first_day": date(2026, 3, 2)})
    assert FilesSource(config).days().first == date(2026, 3, 2)
