"""A file that was read as something else than it is: refused where it was a guess, said where people said it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_pipeline.adapters.splits.files import read_interactions, read_split
from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.core.errors import SourceError


def written(path: Path, row: Callable[[int], str], n: int = 40, header: str = "") -> Path:
    path.write_text(header + "".join(row(at) + "\n" for at in range(n)))
    return path


SIGNS = {
    "row numbers for items": (lambda at: f"u{at % 5},{at},3", "user,item,value", "40 different items in 40 rows"),
    "one time": (
        lambda at: f"u{at % 5},{at % 9},3,1700000000",
        "user,item,value,timestamp",
        "all 40 rows have the time 2023-11-14 22:13:20 UTC",
    ),
    "times for values": (
        lambda at: f"u{at % 5},{at % 9},{150_000_000 + at}",
        "user,item,value",
        "values up to 1500000",
    ),
    "missing users": (
        lambda at: f"{'nan' if at % 3 else at % 5},{at % 9},3",
        "user,item,value",
        "26 rows have the user 'nan', which may mean that it is missing",
    ),
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_guess_is_refused_and_what_is_said_is_noted(tmp_path: Path, name: str) -> None:
    row, columns, sign = SIGNS[name]
    plain = written(tmp_path / "plain.csv", row)
    with pytest.raises(SourceError, match=f"{sign}.*say which column is which with --columns.*first rows as read"):
        read_interactions(plain)
    with_header = written(tmp_path / "header.csv", row, header=columns + "\n")
    for found in (read_interactions(plain, Reading(columns=tuple(columns.split(",")))), read_interactions(with_header)):
        assert any(sign in said for said in found.file.signs)


def test_times_of_1970_are_an_order(tmp_path: Path) -> None:
    path = written(tmp_path / "order.tsv", lambda at: f"u{at % 5}\t{at % 9}\t1\t{at}")
    with pytest.raises(SourceError, match="four columns and none of times"):
        read_interactions(path)
    found = read_interactions(path, Reading(columns=("user", "item", "value", "timestamp")))
    assert found.file.signs == ("all times lie on 1970-01-01: they are small numbers, as an order or a category has",)


def test_seconds_among_milliseconds_are_told(tmp_path: Path) -> None:
    path = written(
        tmp_path / "mixed.csv",
        lambda at: f"u{at % 5},{at % 9},{(1_700_000_000 + at) * (1 if at == 7 else 1000)}",
        header="user,item,ts\n",
    )
    assert read_interactions(path).file.signs == (
        "1 rows lie before 1980, the last in 2023: are two units of time mixed?",
    )


def test_a_test_file_may_hold_each_item_once(tmp_path: Path) -> None:
    train = written(tmp_path / "train.tsv", lambda at: f"u{at % 30}\t{at % 40}\t3", n=200)
    test = written(tmp_path / "test.tsv", lambda at: f"u{at}\t{at}\t3", n=30)
    assert read_split([train], test).files["test"].signs == ()


def test_ids_that_do_not_join_are_said(tmp_path: Path) -> None:
    train = written(tmp_path / "train.tsv", lambda at: f"u{at % 30}\t{at % 40}.0\t3", n=200)
    test = written(tmp_path / "test.tsv", lambda at: f"u{at}\t{at}\t3", n=30)
    found = read_split([train], test, reading=Reading(columns=("user", "item", "value")))
    assert found.files["test"].signs == (
        "30 of 30 items of the test file are not in train (such as '0'; train has '0.0')",
    )


def test_the_first_rows_are_shown_as_they_were_understood(tmp_path: Path) -> None:
    path = written(tmp_path / "views.csv", lambda at: f"{at % 4},2026-01-{1 + at % 28:02}T10:00Z,{at % 9},0")
    assert read_interactions(path).file.first_rows == (
        {"user": "0", "item": "0", "timestamp": "2026-01-01 10:00:00 UTC"},
        {"user": "1", "item": "1", "timestamp": "2026-01-02 10:00:00 UTC"},
        {"user": "2", "item": "2", "timestamp": "2026-01-03 10:00:00 UTC"},
    )


def test_plausible_files_say_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "ratings.tsv", lambda at: f"u{at % 5}\t{at % 9}\t{1 + at % 5}\t{1_700_000_000 + at}")
    found = read_interactions(path).file
    assert (found.signs, found.layout.is_guessed) == ((), True)
