"""Times in text: what ISO 8601 is and what it is not, formats of a source's own, zones, and years that cannot be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import FilesConfig
from recsys_pipeline.adapters.sources.text_times import TimeText
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline_tests.adapters.file_fixtures import DAY, rows_of, source_over, write_lines


def instant(text: str, times: TimeText) -> datetime | None:
    with open_duckdb() as con:
        return con.execute(f"select {times.instant('t')} from (select ? as t)", [text]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2010-12-01", "2010-12-01T00:00:00"),
        ("20101201", "2010-12-01T00:00:00"),
        ("20101201T101112", "2010-12-01T10:11:12"),
        ("20101201T1011", "2010-12-01T10:11:00"),
        ("20101201T101112Z", "2010-12-01T10:11:12"),
        ("20101201T101112.5+0200", "2010-12-01T08:11:12.500000"),
        ("2010-12-01T10:11", "2010-12-01T10:11:00"),
        ("2010-12-01 10:11:12,123", "2010-12-01T10:11:12.123000"),
        ("2010-12-01T10:11:12.123456789Z", "2010-12-01T10:11:12.123456"),
        ("2010-12-01 10:11:12 UTC", "2010-12-01T10:11:12"),
        ("2010-12-01 10:11:12 GMT", "2010-12-01T10:11:12"),
        ("2010-12-01t10:11:12z", "2010-12-01T10:11:12"),
        ("2010-12-01T10:11:12+05:30", "2010-12-01T04:41:12"),
        ("2010-12-01 10:11-08", "2010-12-01T18:11:00"),
    ],
)
def test_iso_8601_is_read_in_all_its_forms(text: str, wanted: str) -> None:
    assert instant(text, TimeText("iso")) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["01-12-10 08:26", "12/01/10 8:26", "2010/12/01", "2010-12-1", "1.12.2010", "2010-13-01", "20101301", "2010-12",
     "10-12-01", "2010-12-01 8:26", "2010-12-01 25:00:00", "2010-12-01T10", "1291161600", "yesterday", ""],
)  # fmt: skip
def test_what_is_not_iso_8601_is_refused(text: str) -> None:
    assert instant(text, TimeText("iso")) is None


@pytest.mark.parametrize(
    ("time_format", "text", "wanted"),
    [
        ("%d-%m-%y %H:%M", "01-12-10 08:26", "2010-12-01T08:26:00"),
        ("%m/%d/%Y %I:%M:%S %p", "11/5/2019 8:55:22 PM", "2019-11-05T20:55:22"),
        ("%a %b %d %H:%M:%S %z %Y", "Tue Apr 03 18:00:09 +0200 2012", "2012-04-03T16:00:09"),
        ("%d.%m.%Y", "24.12.2019", "2019-12-24T00:00:00"),
    ],
)
def test_a_time_format_of_the_sources_own(time_format: str, text: str, wanted: str) -> None:
    assert instant(text, TimeText("", time_format)) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)
    assert instant("2010-12-01", TimeText("", time_format)) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-07-01 12:00:00", "2026-07-01T10:00:00"),
        ("2026-01-01 12:00:00", "2026-01-01T11:00:00"),
        ("20260701", "2026-06-30T22:00:00"),
        ("2026-07-01 12:00:00Z", "2026-07-01T12:00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:00"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00"),
    ],
)
def test_a_time_zone_is_for_times_without_an_offset(text: str, wanted: str) -> None:
    """Of an hour that the clocks show twice the later is meant; one that they skip is read by the clock before it."""
    times = TimeText("iso", zone="Europe/Berlin")
    assert instant(text, times) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


def test_a_time_zone_is_for_formats_too() -> None:
    times = TimeText("", "%d-%m-%y %H:%M", zone="America/New_York")
    assert instant("01-12-10 08:26", times) == datetime(2010, 12, 1, 13, 26, tzinfo=UTC)


def over(tmp_path: Path, texts: list[str], **options: Any) -> list[dict]:
    write_lines(tmp_path / "r.csv", [f"u{at},i,1,{text}" for at, text in enumerate(texts)])
    return rows_of(source_over(tmp_path, path="r.csv", **options))


def test_two_digit_years_are_no_iso_time(tmp_path: Path) -> None:
    first, second = over(tmp_path, ["01-12-10 08:26", "2026-03-01"], time_unit="iso")
    assert (first["timestamp"], first["defect"]) == (None, "timestamp '01-12-10 08:26' is not an ISO 8601 time")
    assert second["defect"] is None


def test_years_that_cannot_be_are_refused_and_move_neither_the_first_day_nor_the_last(tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S")
    before, good, after = over(tmp_path, ["1969-12-31", "2026-03-01", ahead], time_unit="iso")
    assert good["defect"] is None
    for row, text in ((before, "1969-12-31"), (after, ahead)):
        assert row["timestamp"] is None
        assert row["defect"].startswith(f"timestamp '{text}' is outside 1970-01-01 to ")
        assert row["defect"].endswith(": is the unit wrong? (first_year, last_year)")
    found = source_over(tmp_path, path="r.csv", time_unit="iso")
    assert (found.days().first, found.days().last) == (DAY, DAY)


def test_a_setting_allows_other_years(tmp_path: Path) -> None:
    options = {"time_unit": "iso", "first_year": 1960, "last_year": 2199}
    write_lines(tmp_path / "r.csv", [f"u,i{at},1,{at}-07-01" for at in (1959, 1960, 2199, 2200)])
    found = source_over(tmp_path, path="r.csv", **options)
    assert (found.days().first.year, found.days().last.year) == (1960, 2199)  # type: ignore[union-attr]


def test_a_file_of_other_times_alone_names_the_first(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ["u,i,1,01-12-10 08:26"])
    with pytest.raises(SourceError, match=r"no row of .*r\.csv has a readable time .*'01-12-10 08:26' is not an ISO"):
        source_over(tmp_path, path="r.csv", time_unit="iso").days()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_unit": "s", "time_format": "%Y"}, "give either time_unit or time_format, and not both"),
        ({"time_unit": None}, r"set time_unit \(s, ms, us or iso\) or time_format"),
        ({"time_unit": None, "time_format": "%Q"}, "time_format '%Q' cannot be used"),
        ({"time_zone": "Mars/Olympus"}, "time_zone 'Mars/Olympus' is no IANA time zone"),
        ({"first_year": 2020, "last_year": 2010}, "last_year 2010 is before first_year 2020"),
    ],
)
def test_wrong_settings_of_times_are_named(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source_over(tmp_path, **options)


def test_items_have_formats_and_zones_too_and_may_be_old(tmp_path: Path) -> None:
    write_lines(tmp_path / "items.csv", ["id,made", "1,31.12.1931 23:30"])
    columns = {"item_id": "id", "created_at": "made"}
    items = {"path": "items.csv", "header": True, "columns": columns, "time_format": "%d.%m.%Y %H:%M"}
    document = {"name": "test", "root": tmp_path, "items": {**items, "time_zone": "Asia/Tokyo"}}
    interactions = {"path": "r.dat", "columns": {"user_id": 1, "item_id": 2, "value": 3, "timestamp": 4}}
    found = FilesConfig.model_validate({**document, "interactions": {**interactions, "time_unit": "s", "event": "r"}})
    (item,) = FilesSource(found).items(datetime(2026, 1, 1, tzinfo=UTC)).to_pylist()
    assert (item["created_at"], item["defect"]) == (datetime(1931, 12, 31, 14, 30, tzinfo=UTC), None)
