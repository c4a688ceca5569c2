"""The files source: formats, layouts, defects with their line, broken files, catalogues."""

import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import (
    DAY,
    EPOCH_S,
    LATER,
    MIDNIGHT,
    POSITIONS,
    rating_line,
    rows_of,
    source_over,
    write_lines,
)


@pytest.mark.parametrize(
    ("name", "separator", "newline"),
    [
        ("r.dat", "::", "\n"),
        ("r.dat.gz", "::", "\n"),
        ("r.csv", ",", "\r\n"),
        ("r.tsv", "\t", "\n"),
        ("r.csv.gz", ",", "\n"),
    ],
)
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str, separator: str, newline: str) -> None:
    write_lines(tmp_path / name, [rating_line(1, 5, separator), "", rating_line(2, 90_000, separator)], newline)
    found = source_over(tmp_path, path=name)
    assert found.provides == {"interactions"}
    assert found.days().first == DAY
    assert found.days().last == DAY + timedelta(days=1)
    first, second = rows_of(found)
    assert first == {
        "user_id": "u1", "item_id": "i1", "event": "rating", "value": 4.5, "timestamp": MIDNIGHT + timedelta(seconds=5),
        "request_id": None, "position": None, "propensity": None, "source_file": name, "source_row": 1, "defect": None,
        "filed_at": None,
    }  # fmt: skip
    assert second["source_row"] == 3, "blank lines are no rows, and lines are counted as an editor counts them"


def test_it_is_a_source(tmp_path: Path) -> None:
    assert isinstance(source_over(tmp_path), Source)


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    columns = {"who": [1, 2], "what": ["a", "b"], "stars": [4.5, 3.0], "at": pa.array([MIDNIGHT, MIDNIGHT])}
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    names = {"user_id": "who", "item_id": "what", "value": "stars", "timestamp": "at"}
    first, second = rows_of(source_over(tmp_path, path="r.parquet", columns=names, time_unit="iso"))
    assert (first["user_id"], first["value"], first["timestamp"], first["source_row"]) == ("1", 4.5, MIDNIGHT, 1)
    assert second["defect"] is None
    with pytest.raises(
        SourceError, match=r"no column 'nope' \(interactions\.columns\.value\); its columns are \['who'"
    ):
        rows_of(source_over(tmp_path, path="r.parquet", columns={**names, "value": "nope"}, time_unit="iso"))


def test_header_quotes_and_events_with_values(tmp_path: Path) -> None:
    header = "who,what,kind,at"
    lines = [
        header,
        '"u,1","say ""hi""",click,2026-03-01T00:00:01Z',
        "u2,i2,buy,2026-03-01 02:00:00+02:00",
        "u3,i3,poke,2026-03-01",
    ]
    write_lines(tmp_path / "events.csv", lines)
    columns = {"user_id": "who", "item_id": "what", "event": "kind", "timestamp": "at"}
    options = {
        "path": "events.csv",
        "header": True,
        "quote": True,
        "columns": columns,
        "time_unit": "iso",
        "event": None,
    }
    click, buy, poke = rows_of(source_over(tmp_path, values={"click": 1.0, "buy": 5.0}, **options))
    assert (click["user_id"], click["item_id"], click["value"], click["source_row"]) == ("u,1", 'say "hi"', 1.0, 2)
    assert (buy["event"], buy["value"], buy["timestamp"]) == ("buy", 5.0, MIDNIGHT)
    assert poke["defect"] == "event 'poke' has no value: add it to interactions.values"


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_time_units(tmp_path: Path, unit: str, factor: int) -> None:
    write_lines(tmp_path / "ratings.dat", [f"u::i::1::{(EPOCH_S + 7) * factor}"])
    (row,) = rows_of(source_over(tmp_path, time_unit=unit))
    assert row["timestamp"] == MIDNIGHT + timedelta(seconds=7)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("u::i::4::abc", "timestamp 'abc' is not an epoch in seconds"),
        (f"u::i::4::{EPOCH_S}000000", "timestamp '1772323200000000' is not an epoch in seconds"),
        ("u::i::4::", "timestamp is empty"),
        (f"u::i::four::{EPOCH_S}", "value 'four' is not a number"),
        ("u::i::4", "expected 4 fields, found 3"),
        (f"u::i::4::{EPOCH_S}::x", "expected 4 fields, found 5"),
        ('"', "expected 4 fields, found 1"),
    ],
)
def test_bad_row_7_is_a_defect_that_names_file_row_and_reason(tmp_path: Path, bad: str, reason: str) -> None:
    lines = [rating_line(number, number) for number in range(1, 10)]
    write_lines(tmp_path / "ratings.dat", [*lines[:6], bad, *lines[7:]])
    found = source_over(tmp_path)
    (defect,) = [row for row in rows_of(found) if row["defect"]]
    assert (defect["source_file"], defect["source_row"], defect["defect"]) == ("ratings.dat", 7, reason)
    files = write_periods(
        found.interactions(Window.of_day(DAY)), Window.of_day(DAY), tmp_path / "out", max_quarantine_share=1.0
    )
    assert (files[0].rows, files[0].quarantined) == (8, 1), "the other eight rows enter"
    (row,) = pq.read_table(tmp_path / "out" / files[0].quarantine_path).to_pylist()
    assert (row["source_file"], row["source_row"], row["reason"]) == ("ratings.dat", 7, reason)


def test_row_without_a_time_of_a_file_that_grows_is_delivered_with_every_day(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 90_000), "u::i::4::abc", rating_line(2, 5)])
    found = source_over(tmp_path)
    by_day = {
        day: [row["source_row"] for row in rows_of(found, Window.of_day(day))] for day in (DAY, DAY + timedelta(days=1))
    }
    assert by_day == {DAY: [2, 3], DAY + timedelta(days=1): [1, 2]}, "which day reads it first, the store knows"


def test_windows_are_half_open(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(second, second) for second in (0, 59, 60, 61)])
    minute = Window(MIDNIGHT, MIDNIGHT + timedelta(seconds=60))
    assert [row["user_id"] for row in rows_of(source_over(tmp_path), minute)] == ["u0", "u59"]
    assert rows_of(source_over(tmp_path), Window(LATER, LATER + timedelta(days=1))) == [], (
        "a day in the future has no rows"
    )


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Three cumulative releases: the second brings a late row of the first day, and all number the users anew."""
    days = [["7::a::1::0", "8::b::2::60"], ["1::a::1::0", "2::b::2::60", "3::c::3::80000", "1::d::4::90000"]]
    days.append([*days[1], "9::e::5::172900", "x::y::1::later"])
    for number, lines in enumerate(days):
        moved = ["::".join([*text.split("::")[:3], _moved(text.split("::")[3])]) for text in lines]
        write_lines(tmp_path / f"r-2026-03-0{number + 2}.dat.gz", moved)
    return tmp_path


def _moved(second: str) -> str:
    return str(EPOCH_S + int(second)) if second.isdigit() else second


def test_a_day_is_read_from_the_first_release_that_covers_it(releases: Path, caplog) -> None:
    found = source_over(releases, path="r-*.dat.gz", layout="releases")
    assert (found.days().first, found.days().last) == (DAY, date(2026, 3, 3))
    items = {
        day: [row["item_id"] for row in rows_of(found, Window.of_day(day))]
        for day in Window.of_days(DAY, date(2026, 3, 3)).days()
    }
    assert items == {DAY: ["a", "b"], date(2026, 3, 2): ["d"], date(2026, 3, 3): ["e", "y"]}
    assert [row["item_id"] for row in rows_of(found)] == ["a", "b", "d", "e", "y"], "one window or many: the same rows"
    assert "r-2026-03-03.dat.gz holds 1 rows" in caplog.text, "the late row c is not lost in silence"


def test_settling_waits_for_late_rows(releases: Path) -> None:
    found = source_over(releases, path="r-*.dat.gz", layout="releases", settle_days=1)
    assert found.days().last == date(2026, 3, 2)
    assert [row["item_id"] for row in rows_of(found)] == ["a", "b", "c", "d", "y"]


def test_first_event_names_a_user_alike_in_every_release(releases: Path) -> None:
    found = source_over(releases, path="r-*.dat.gz", layout="releases", user_identity="first_event")
    users = {row["item_id"]: row["user_id"] for row in rows_of(found)}
    assert users["a"] == users["d"] == f"{EPOCH_S}-a"
    assert users["b"] != users["a"]


def test_two_releases_of_one_date_are_refused(releases: Path) -> None:
    write_lines(releases / "r-2026-03-02b.dat.gz", [rating_line(1, 1)])
    with pytest.raises(SourceError, match="two releases of one date"):
        source_over(releases, path="r-*.dat.gz", layout="releases").days()


@pytest.mark.parametrize("layout", ["days", "releases"])
def test_path_without_a_date_is_refused(tmp_path: Path, layout: str) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    with pytest.raises(SourceError, match=r"ratings\.dat has no ISO date where interactions\.date_pattern"):
        source_over(tmp_path, layout=layout).days()


def test_missing_file_names_file_and_setting(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file ratings\.dat below .* root and interactions\.path of source test"):
        source_over(tmp_path).interactions(Window.of_day(DAY))


def test_file_that_stops_in_the_middle_names_the_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat.gz", [rating_line(number, number) for number in range(50_000)])
    whole = (tmp_path / "ratings.dat.gz").read_bytes()
    found = source_over(tmp_path, path="ratings.dat.gz")
    found.days()
    (tmp_path / "ratings.dat.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"ratings\.dat\.gz cannot be read to its end"):
        rows_of(found)


def test_wrong_columns_name_what_the_file_has(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ["user,item,stars,time", rating_line(1, 1, ",")])
    named = {"user_id": "user", "item_id": "item", "value": "rating", "timestamp": "time"}
    with pytest.raises(
        SourceError, match=r"no column 'rating' \(interactions\.columns\.value\); its header has \['user', 'item"
    ):
        rows_of(source_over(tmp_path, path="r.csv", header=True, columns=named))
    with pytest.raises(SourceError, match=r"has 4 fields in a line, and interactions\.columns\.value asks for field 9"):
        rows_of(source_over(tmp_path, path="r.csv", columns={**POSITIONS, "value": 9}))


def test_wrong_time_unit_is_one_error_and_not_a_quarantine_of_all(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", ["u::i::1::yesterday"])
    with pytest.raises(
        SourceError,
        match=r"no row of .*ratings\.dat has a readable time \(row 1: timestamp 'yesterday' is not an epoch in ",
    ):
        source_over(tmp_path).days()


def test_wrong_encoding_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_bytes("é::i::1::1772323200\n".encode("latin-1"))
    with pytest.raises(
        SourceError, match=r"ratings\.dat is no text .* line 1: .* not utf-8 \(byte 0xe9 at position 1\)"
    ):
        source_over(tmp_path).days()
    assert rows_of(source_over(tmp_path, encoding="latin-1"))[0]["user_id"] == "é"


def test_fingerprint_follows_the_files_that_a_window_reads(releases: Path) -> None:
    found = source_over(releases, path="r-*.dat.gz", layout="releases")
    first, last = Window.of_day(DAY), Window.of_day(date(2026, 3, 3))
    before = found.fingerprint(first), found.fingerprint(last)
    assert source_over(releases, path="r-*.dat.gz", layout="releases").fingerprint(first) == before[0]
    path = releases / "r-2026-03-04.dat.gz"
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    assert found.fingerprint(first) == before[0]
    assert found.fingerprint(last) != before[1]
    assert source_over(releases, path="r-*.dat.gz", layout="releases", event="star").fingerprint(first) != before[0]


def test_numbers_are_not_rounded_on_the_way_in(tmp_path: Path) -> None:
    columns = {**POSITIONS, "position": 5}
    write_lines(tmp_path / "ratings.dat", [f"{rating_line(1, 1)}::{text}" for text in ("3", "3.7", "3.0", "", "1e99")])
    rows = rows_of(source_over(tmp_path, columns=columns))
    assert [row["position"] for row in rows] == [3, None, 3, None, None]
    assert [row["defect"] for row in rows] == [
        None, "position '3.7' is not a whole number", None, None, "position '1e99' is not a whole number"
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["infinity", "-infinity", "epoch ago", "12026-03-01T00:00:00"])
def test_an_iso_time_outside_the_years_1_to_9999_is_a_defect_and_moves_no_last_day(tmp_path: Path, text: str) -> None:
    write_lines(tmp_path / "r.csv", ["u,i,1,2026-03-01T12:00:00", f"u,i,1,{text}"])
    found = source_over(tmp_path, path="r.csv", time_unit="iso")
    assert (found.days().first, found.days().last) == (DAY, DAY)
    assert [row["defect"] for row in rows_of(found)] == [None, f"timestamp '{text}' is not an ISO 8601 time"]


def test_lines_may_say_what_came_first_in_an_instant(tmp_path: Path) -> None:
    """An event that is logged twice stays one event, wherever its second line stands."""
    lines = [f"u,{item},1,{EPOCH_S + second}" for item, second in (("c", 0), ("a", 0), ("c", 0), ("b", 0), ("z", 1))]
    write_lines(tmp_path / "r.csv", [*lines, f"other,b,1,{EPOCH_S}"])
    found = rows_of(source_over(tmp_path, path="r.csv", tie_order="lines"))
    own = [(row["item_id"], row["timestamp"].microsecond) for row in found if row["user_id"] == "u"]
    assert own == [("c", 0), ("a", 1), ("c", 0), ("b", 2), ("z", 0)]
    assert {row["timestamp"].microsecond for row in found if row["user_id"] == "other"} == {0}


def test_lines_cannot_order_times_in_microseconds(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="tells rows apart by microseconds"):
        source_over(tmp_path, path="r.csv", tie_order="lines", time_unit="us")
