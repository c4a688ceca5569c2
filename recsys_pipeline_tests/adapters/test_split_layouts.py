"""Layouts told from content; what cannot be told is an error that names the option that settles it."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.splits.layouts import find_layout
from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.core.errors import SettingError, SourceError

PAIR = "user = 1, item = 2"
TOLD = {
    "NCF train": ("0\t0\t5\n0\t1\t3\n", f"tab-separated, no header; {PAIR}, value = 3"),
    "NCF test": ("0\t25\t5\t978824351\n", f"tab-separated, no header; {PAIR}, value = 3, timestamp = 4 (s)"),
    "MovieLens": ("1::1193::5::978300760\n", f"::-separated, no header; {PAIR}, value = 3, timestamp = 4 (s)"),
    "a third column of times": ("1,2,978300760\n", f"comma-separated, no header; {PAIR}, timestamp = 3 (s)"),
    "MovieLens 25M": (
        "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n",
        f"comma-separated, header; {PAIR}, value = 3, timestamp = 4 (s)",
    ),
    "RecBole": ("item_id:token\tuser_id:token\n7\t1\n", "tab-separated, header; item = 1, user = 2"),
    "other columns": ("title;item;user\nA;7;ann\n", "semicolon-separated, header; item = 2, user = 3"),
    "ISO times": ("u,i,5,2026-01-02T03:04Z\n", f"comma-separated, no header; {PAIR}, value = 3, timestamp = 4 (iso)"),
    "milliseconds": ("user,item,ts\na,b,1700000000000\n", f"comma-separated, header; {PAIR}, timestamp = 3 (ms)"),
    "microseconds": ("user,item,ts\na,b,1700000000000000\n", f"comma-separated, header; {PAIR}, timestamp = 3 (us)"),
    "byte order mark": ("\ufeffuser,item\na,b\n", f"comma-separated, header; {PAIR}"),
    "SASRec": ("1 1\n1 2\n2 9\n", "user item, in order of time"),
    "LightGCN": ("0 1 2 3\n1 5\n2 \n3 1 9 8 7 6\n", "adjacency lists: user item …"),
    "NCF negatives": ("(0,25)\t1064\t174\n(1,133)\t1\t2\n", "NCF negatives: (user,item) negative …"),
    "a table with a broken line": (
        "1 2 3 978300760\n1 5 3 978300760\n1 5 3\n",
        f"space-separated, no header; {PAIR}, value = 3, timestamp = 4 (s)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_layout_is_told_from_the_content(tmp_path: Path, name: str, zipped: bool) -> None:
    text, description = TOLD[name]
    path = tmp_path / ("split.gz" if zipped else "split.txt")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert find_layout(path).describe() == description


def test_parquet_columns_go_by_name(tmp_path: Path) -> None:
    path = tmp_path / "split.pq"
    pq.write_table(pa.table({"when": [1], "itemId": [2], "user_id": ["a"], "timestamp": [1_700_000_000]}), path)
    found = find_layout(path)
    assert found.describe() == "Parquet; item = itemId, user = user_id, timestamp = timestamp (s)"
    said = find_layout(path, Reading(columns=("timestamp", "item", "user")))
    assert said.columns == {"timestamp": "when", "item": "itemId", "user": "user_id"}


def test_what_is_said_wins(tmp_path: Path) -> None:
    path = tmp_path / "split.txt"
    path.write_text("7 8 9\n7 8 9\n")
    assert find_layout(path).describe().endswith(f"{PAIR}, value = 3")
    assert find_layout(path, Reading(format="adjacency")).format == "adjacency"
    assert find_layout(path, Reading(columns=("item", "-", "user"))).columns == {"item": 1, "user": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n \n", "most lines hold one field|is empty"),
        ("justonefield\n", "most lines hold one field"),
        (
            "payer,product,stars\n1,2,5\n",
            "no known name of a column of users.*--columns user=…,item=product,value=stars",
        ),
        (
            "user,item,item_id\n1,2,5\n",
            "item and item_id may each be the item: say it, such as --columns user=user,item=item",
        ),
        ("1,2,3,4,5\n", "5 columns and no header: say --columns"),
        ("userID,Rcuisine\nU1,Thai\nU2,Thai\n", "no known name of a column of items"),
        ("1 2 3 4 5 6\n2 2 3 4 5 6\n", "may be a table or adjacency lists: say --format"),
        ("1,2,3,1700000000000000000\n", "four columns and none of times"),
        ("user,item,time\n1,2,1700000000000000000\n", "in no unit that is read"),
        (
            "user,item,time\na,b,01-12-10 08:26\na,c,28-12-10 09:19\n",
            "times such as '01-12-10 08:26' are not ISO 8601: say --time-format, such as '%d-%m-%y %H:%M'",
        ),
        ("5 6\n7 7 8\n5 9 1 2\n" * 8, "22 begin as another does.*--format sessions"),
        ("1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n", "lines such as '1:' name the item of the lines after them"),
        ("\0\1,\2\n", "is no text"),
    ],
)
def test_what_cannot_be_told_is_an_error_with_a_way_out(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "split.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=reason) as caught:
        find_layout(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.tsv is no file"):
        find_layout(tmp_path / "absent.tsv")


def test_gzip_without_its_name_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(gzip.compress(b"1,2,3\n"))
    with pytest.raises(SourceError, match=r"is packed by gzip.*let it end in \.gz"):
        find_layout(path)


def test_broken_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.parquet"
    path.write_bytes(b"PAR1half")
    with pytest.raises(SourceError, match=r"half\.parquet is not readable Parquet"):
        find_layout(path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "csv"}, "format 'csv' is unknown: use table, adjacency, sequences"),
        ({"columns": ("user", "value")}, "name user and item"),
        ({"columns": ("user", "item", "rating")}, "name user and item"),
        ({"columns": ("user", "item", "item")}, "once each"),
        ({"columns": ("user", "item", "value", "timestamp")}, "has 3 columns, and --columns names 4"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict, reason: str) -> None:
    path = tmp_path / "split.tsv"
    path.write_text("1\t2\t3\n")
    with pytest.raises(SettingError, match=reason):
        find_layout(path, Reading(**options))
