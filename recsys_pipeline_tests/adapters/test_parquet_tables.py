"""Parquet by exact names; numbers that stand for ids, missing numbers, and lists."""

import base64
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.splits.layouts import find_layout
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


OF_128_BITS = (
    "c-nnZ%TB^T6uliA!onD1oC!_3=!OO&(K3QiBa1<a5>Ww-uB&Z<s4by@j}P*5_yQN|H~0bGp;e=a-Zb}p&pAz|ExJVtv_)G5s$!C&"
    "DF6Zhs-nP8Bfo08q-7zcWz<RJjVLgc1uQVrfH(#<S`rRG`E`sGD|AJ2E&t$JAXL@LkXlB(!PvX~!h2E7Cj~T}rD?!$7qb_ImSjqa"
    "wsWA4!f;GgRD-M}7K0M9B*sA)P1g$MRR2pZn-RJS=8Wk7DqwGfGGNaNQ_VDnRVgL2D7xK~i|y#D@7+3?cV$D`mL<>{(p9He-*=LF"
    "-Z~T_61(%*5o>Ln-`&Z6Q;1%&*Oaj&U0u4?BQ8~YU!d_`Jq~hyhI2d4JD;vTbobB4^WMq)zLb#Q==&b=PUSwvZi0Ih1MOMzS7M4r"
    "a(XTGG!y*d6+eFvqE>^<aXY+mMv;*lK8*WekT<5@C>n%;!PkrHmXW)h3~pSb;@cL#bT@t9<rUwra<^FGm8xUe4!6s`&;5$yxi-&h"
    "1swoCc*WP##s~TV)Ix|B"
)
"""Columns `user` (128-bit integers) and `item` of two rows, written by polars 2.1.0; base 85 of zlib."""


def test_a_type_that_is_not_read_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_bytes(zlib.decompress(base64.b85decode(OF_128_BITS)))
    source = source_over(tmp_path, path="r.parquet", columns=NAMES, time_unit="iso", values={"rating": 1.0})
    told = r"r\.parquet has a column of a type that is not read .*64-bit numbers or as text"
    with pytest.raises(SourceError, match=told):
        source.check()
    with pytest.raises(SourceError, match=told):
        find_layout(tmp_path / "r.parquet")
