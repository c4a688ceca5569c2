"""Parquet by exact names; numbers that stand for ids, missing numbers, and lists."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.core.errors import SourceError
from recsys_pipeline_tests.adapters.file_fixtures import LATER, MIDNIGHT, rating_line, rows_of, source_over, write_lines

NAMES = {"user_id": "U", "item_id": "I", "timestamp": "at"}


def over(tmp_path: Path, table: dict[str, Any], **options: Any) -> list[dict]:
    pq.write_table(pa.table(table), tmp_path / "r.parquet")
    settings = {"path": "r.parquet", "columns": NAMES, "time_unit": "iso", "values": {"rating": 1.0}, **options}
    return rows_of(source_over(tmp_path, **settings))


def test_names_that_differ_in_case_are_two_columns(tmp_path: Path) -> None:
    (row,) = over(tmp_path, {"u": ["wrong"], "U": ["right"], "i": ["no"], "I": ["yes"], "at": [MIDNIGHT]})
    assert (row["user_id"], row["item_id"]) == ("right", "yes")


def test_a_name_in_another_case_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no column 'U' \(interactions.columns.user_id\); its columns are \['u'"):
        over(tmp_path, {"u": ["a"], "I": ["b"], "at": [MIDNIGHT]})


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], ["c"], [MIDNIGHT]], names=["U", "I", "U", "at"])
    pq.write_table(table, tmp_path / "r.parquet")
    settings = {"path": "r.parquet", "columns": NAMES, "time_unit": "iso", "values": {"rating": 1.0}}
    with pytest.raises(SourceError, match=r"has 2 columns 'U' \(interactions.columns.user_id\)"):
        rows_of(source_over(tmp_path, **settings))


def test_missing_ids_are_empty_and_whole_floats_are_whole_numbers(tmp_path: Path) -> None:
    users = pa.array([102.0, float("nan"), None, 2.5], pa.float64())
    rows = over(tmp_path, {"U": users, "I": [1, 2, 3, None], "at": [MIDNIGHT] * 4})
    assert [row["user_id"] for row in rows] == ["102", None, None, "2.5"]
    assert [row["item_id"] for row in rows] == ["1", "2", "3", None]


def test_a_position_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"interactions.columns.user_id is the position 1: give a name of \['U'"):
        over(tmp_path, {"U": ["a"], "I": ["b"], "at": [MIDNIGHT]}, columns={**NAMES, "user_id": 1})


def test_lists_are_categories_as_they_are(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    pq.write_table(pa.table({"id": ["1", "2"], "kinds": [["a|b", "c"], []]}), tmp_path / "i.parquet")
    items = {"kind": "table", "path": "i.parquet", "columns": {"item_id": "id", "categories": "kinds"}}
    found = source_over(tmp_path, items=items).items(LATER)
    assert found.column("categories").to_pylist() == [["a|b", "c"], []]


@pytest.mark.parametrize("baskets", [["a b", "c", ""], ['["a", "b"]', '["c"]', ""], ["['a', 'b']", "['c']", ""]])
def test_a_list_of_items_in_a_field_becomes_a_row_each(tmp_path: Path, baskets: list[str]) -> None:
    rows = over(tmp_path, {"U": ["u1", "u2", "u3"], "I": baskets, "at": [MIDNIGHT] * 3}, item_separator=" ")
    assert [(row["user_id"], row["item_id"], row["source_row"]) for row in rows] == [
        ("u1", "a", 1), ("u1", "b", 1), ("u2", "c", 2), ("u3", "", 3)
    ]  # fmt: skip


def test_a_list_column_of_items_becomes_a_row_each(tmp_path: Path) -> None:
    rows = over(tmp_path, {"U": ["u1", "u2"], "I": [["a", "b"], []], "at": [MIDNIGHT] * 2}, item_separator=" ")
    assert [(row["user_id"], row["item_id"]) for row in rows] == [("u1", "a"), ("u1", "b")]
