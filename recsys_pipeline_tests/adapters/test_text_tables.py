"""Empty files and quoted fields: what has no rows is no error, and what quotes break says how to read it."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.core.errors import SourceError
from recsys_pipeline_tests.adapters.file_fixtures import (
    DAY,
    EPOCH_S,
    LATER,
    rating_line,
    rows_of,
    source_over,
    write_lines,
)

HEADER = "user,item,stars,time"
NAMES = {"user_id": "user", "item_id": "item", "value": "stars", "timestamp": "time"}


@pytest.mark.parametrize("empty", [b"", b"\n\r\n", gzip.compress(b"", mtime=0), (HEADER + "\n").encode()])
def test_an_empty_file_among_others_has_no_rows(tmp_path: Path, empty: bytes) -> None:
    name = "r-2.csv.gz" if empty[:2] == b"\x1f\x8b" else "r-2.csv"
    (tmp_path / name).write_bytes(empty)
    write_lines(tmp_path / "r-1.csv", [HEADER, rating_line(1, 5, ",")])
    found = source_over(tmp_path, path="r-*", separator=",", header=True, columns=NAMES)
    assert (found.days().first, found.days().last) == (DAY, DAY)
    assert [row["user_id"] for row in rows_of(found)] == ["u1"]


def test_an_empty_file_without_a_header_has_no_rows_either(tmp_path: Path) -> None:
    write_lines(tmp_path / "r-1.dat", [])
    write_lines(tmp_path / "r-2.dat", [rating_line(1, 5)])
    assert [row["user_id"] for row in rows_of(source_over(tmp_path, path="r-*.dat"))] == ["u1"]


def test_files_that_are_all_empty_are_refused_by_their_name(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", [])
    write_lines(tmp_path / "items.csv", [])
    items = {"kind": "table", "path": "items.csv", "header": True, "columns": {"item_id": "id"}}
    found = source_over(tmp_path, items=items, path="r.csv", header=True, columns=NAMES)
    with pytest.raises(SourceError, match=r"r\.csv has no rows: check interactions\.path"):
        found.days()
    with pytest.raises(SourceError, match=r"items\.csv is empty \(items\.path\): was it cut short\?"):
        found.items(LATER)


def test_an_empty_file_of_items_among_others_has_no_rows(tmp_path: Path) -> None:
    write_lines(tmp_path / "items-1.csv", [])
    write_lines(tmp_path / "items-2.csv", ["id,flag", "lamp,1"])
    items = {"kind": "table", "path": "items-*.csv", "header": True, "columns": {"item_id": "id"}}
    flags = {"category_flags": ["bright"], "first_flag": 2}
    (item,) = source_over(tmp_path, items={**items, **flags}).items(LATER).to_pylist()
    assert (item["item_id"], item["categories"]) == ("lamp", ["bright"])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"u1","i1","4","2026-03-01T10:00:00Z"', "timestamp '\"2026-03-01T10:00:00Z\"' is not an ISO 8601 time"),
        (
            'u1,"lamp, red",4,2026-03-01T10:00:00Z',
            "expected 4 fields, found 5; fields stand in double quotes: leave quote = false out",
        ),
    ],
)
def test_quotes_are_characters_only_where_the_source_says_so(tmp_path: Path, line: str, why: str) -> None:
    write_lines(tmp_path / "r.csv", [line, *["u2,i2,4,2026-03-01T10:00:00Z"] * 2])
    options: dict[str, Any] = {"path": "r.csv", "time_unit": "iso"}
    first, *_ = rows_of(source_over(tmp_path, quote=False, **options))
    assert first["defect"] == why
    for quote in (None, True):
        assert [row["defect"] for row in rows_of(source_over(tmp_path, quote=quote, **options))] == [None] * 3


def test_a_file_of_quoted_fields_alone_tells_how_many_they_are(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ['"u1","lamp, ""red""","4","1772323200"'])
    (row,) = rows_of(source_over(tmp_path, path="r.csv"))
    assert (row["user_id"], row["item_id"], row["defect"]) == ("u1", 'lamp, "red"', None)


def test_a_quoted_header_may_hold_the_separator_and_quotes(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ['user,"item, ""sku""",stars,time', rating_line(1, 1, ",")])
    names = {**NAMES, "item_id": 'item, "sku"'}
    (row,) = rows_of(source_over(tmp_path, path="r.csv", header=True, quote=True, columns=names))
    assert (row["item_id"], row["defect"]) == ("i1", None)


def test_a_header_in_quotes_that_are_characters_says_so(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ['"user","item","stars","time"', rating_line(1, 1, ",")])
    with pytest.raises(
        SourceError, match=r"no column 'user' .*; fields stand in double quotes: leave quote = false out"
    ):
        source_over(tmp_path, path="r.csv", header=True, quote=False, columns=NAMES).days()


def test_a_header_that_names_a_mapped_column_twice_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.csv", ["user,item,stars,time,user,note,note", rating_line(1, 1, ",") + ",u9,a,b"])
    with pytest.raises(SourceError, match=r"has 2 columns 'user' \(interactions.columns.user_id\), fields 1 and 5"):
        rows_of(source_over(tmp_path, path="r.csv", header=True, columns=NAMES))
    (row,) = rows_of(source_over(tmp_path, path="r.csv", header=True, columns={**NAMES, "user_id": 5}))
    assert row["user_id"] == "u9"


def test_quotes_may_first_appear_far_below(tmp_path: Path) -> None:
    plain = [f"u{at},Game {at},1,{EPOCH_S}" for at in range(300)]
    quoted = f'u300,"Warhammer 40,000 ""Dawn""",1,{EPOCH_S}'
    write_lines(tmp_path / "late.csv", [*plain, quoted])
    write_lines(tmp_path / "early.csv", [quoted, *plain])
    late, early = (
        sorted((row["user_id"], row["item_id"], row["defect"]) for row in rows_of(source_over(tmp_path, path=name)))
        for name in ("late.csv", "early.csv")
    )
    assert late == early
    assert ("u300", 'Warhammer 40,000 "Dawn"', None) in late


def test_a_catalogue_with_line_breaks_in_quotes_and_windows_line_ends(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    lines = ["id,title,text,kind", '1,One,"Two lines:\nof ""text""",lamp', '2,"A\nB","\n",bed', "3,C,d,desk"]
    write_lines(tmp_path / "items.csv", lines, "\r\n")
    columns = {"item_id": "id", "title": "title", "categories": "kind"}
    items = {"kind": "table", "path": "items.csv", "header": True, "columns": columns}
    found = source_over(tmp_path, items=items).items(LATER).to_pylist()
    shown = [(row["item_id"], row["title"], row["categories"], row["source_row"], row["defect"]) for row in found]
    assert shown == [("1", "One", ["lamp"], 2, None), ("2", "A\nB", ["bed"], 4, None), ("3", "C", ["desk"], 7, None)]


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        ("1,99", {"decimal": ","}, 1.99),
        ("2", {"decimal": ","}, 2.0),
        ("1.234.567,5", {"decimal": ",", "thousands": "."}, 1234567.5),
        ("1234,5", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1,234.5", {"thousands": ","}, 1234.5),
        ("12 345", {"thousands": " "}, 12345.0),
        ("1.99", {"decimal": ","}, None),
        ("1.99", {"decimal": ",", "thousands": "."}, None),
        ("1,2,3", {"thousands": ","}, None),
        ("1,99", {}, None),
    ],
)
def test_separators_of_decimals_and_thousands(tmp_path: Path, text: str, options: dict, wanted: float | None) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    write_lines(tmp_path / "items.csv", ["id;cost", f"1;{text}"])
    columns = {"item_id": "id", "price": "cost"}
    items = {"kind": "table", "path": "items.csv", "separator": ";", "header": True, "columns": columns, **options}
    (item,) = source_over(tmp_path, items=items).items(LATER).to_pylist()
    assert item["price"] == wanted
    assert item["defect"] == (None if wanted is not None else f"price '{text}' is not a number")


def test_the_file_that_was_cut_is_named_among_others(tmp_path: Path) -> None:
    write_lines(tmp_path / "items-1.csv.gz", ["id", "lamp"])
    write_lines(tmp_path / "items-2.csv.gz", ["id", *(f"item {number}" for number in range(50_000))])
    whole = (tmp_path / "items-2.csv.gz").read_bytes()
    (tmp_path / "items-2.csv.gz").write_bytes(whole[: len(whole) // 2])
    items = {"kind": "table", "path": "items-*.csv.gz", "header": True, "columns": {"item_id": "id"}}
    with pytest.raises(SourceError, match=r"^\S*items-2\.csv\.gz cannot be read to its end"):
        source_over(tmp_path, items=items).items(LATER)
