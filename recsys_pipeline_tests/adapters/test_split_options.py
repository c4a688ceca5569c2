"""Formats that people have: each is read into the pairs of a plain table, by itself or with the option it needs."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.splits.files import OneFile, read_interactions
from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.core.errors import SettingError, SourceError

ROWS = [(f"u{at % 7}", f"Game {at % 11}", 1 + at % 5, 1_700_000_000 + 977 * at) for at in range(77)]
PLAIN = Reading(columns=("user", "item", "value", "timestamp"))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path, **said: object) -> OneFile:
    return read_interactions(path, Reading(**said))  # type: ignore[arg-type]


def rows_of(found: OneFile) -> list[tuple[int, ...]]:
    """Sorted, so that two files can be compared row by row."""
    ratings = found.ratings
    return sorted(zip(ratings.user, ratings.item, ratings.value, ratings.timestamp_us, strict=True))


@pytest.fixture
def expected(tmp_path: Path) -> list[tuple[int, ...]]:
    text = "user\titem\trating\tts\n" + "".join(f"{u}\t{i}\t{v}\t{t}\n" for u, i, v, t in ROWS)
    return rows_of(read(written(tmp_path / "expected.tsv", text)))


def lines_of(row: Callable[..., object], end: str = "\n") -> str:
    return "".join(f"{row(*values)}{end}" for values in ROWS)


def as_json(user: str, item: str, value: int, time: int) -> str:
    return json.dumps({"user_id": user, "parent_asin": item, "asin": "x", "rating": value, "timestamp": time * 1000})


def nested_json(user: str, item: str, value: int, time: int) -> str:
    return json.dumps({"who": {"id": user}, "what": item, "stars": value, "time": time})


SAME = {
    "JSON lines": (".jsonl", lines_of(as_json), {}),
    "JSON lines, packed": (".jsonl.gz", lines_of(as_json), {}),
    "JSON lines in a file of another name": (".txt", lines_of(as_json), {}),
    "keys in an object": (".json", lines_of(nested_json), {"columns": ("user=who.id", "item=what", "value=stars",
                                                                       "timestamp=time")}),
    "CRLF and quotes": (".csv", lines_of(lambda *row: ",".join(f'"{cell}"' for cell in row), "\r\n"), {}),
    "another separator": (".csv", lines_of(lambda *row: "^".join(map(str, row))), {"separator": "^"}),
    "semicolons and commas": (".csv", "user;note;item;rating;ts\n" + lines_of(
        lambda u, i, v, t: f"{u};{', '.join('ab'[: v % 3])};{i};{v};{t}"), {}),
    "lines that end as on an old Mac": (".csv", lines_of(lambda *row: ",".join(map(str, row)), "\r"), {}),
    "a separator of two characters": (".csv", lines_of(lambda *row: "~~".join(map(str, row))), {"separator": "~~"}),
    "a header that is said": (".csv", "a,b,c,d\n" + lines_of(lambda *row: ",".join(map(str, row))),
                              {"header": True, "columns": ("user=a", "item=b", "value=c", "timestamp=d")}),
    "a header that is none": (".csv", lines_of(lambda *row: ",".join(map(str, row))), {"header": False}),
    "names with a type": (".inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                          + lines_of(lambda u, i, v, t: f"{u}\t{i}\t{v}.0\t{t}.0"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_format_is_read_as_the_plain_table_is(tmp_path: Path, name: str, expected: list[tuple[int, ...]]) -> None:
    suffix, text, said = SAME[name]
    assert rows_of(read(written(tmp_path / f"data{suffix}", text), **said)) == expected


def test_lists_of_events_in_a_row_are_unfolded(tmp_path: Path) -> None:
    users = list(dict.fromkeys(user for user, *_ in ROWS))
    events = {user: [{"aid": i, "ts": t * 1000, "type": "click"} for u, i, _, t in ROWS if u == user] for user in users}
    text = "".join(json.dumps({"session": user, "events": events[user]}) + "\n" for user in users)
    found = read(written(tmp_path / "sessions.jsonl", text))
    plain = "user,item,ts\n" + "".join(f"{user},{item},{time}\n" for user, item, _, time in ROWS)
    assert rows_of(found) == rows_of(read(written(tmp_path / "plain.csv", plain)))
    assert "item = events[].aid, timestamp = events[].ts (ms)" in found.file.layout.describe()


LISTS = {
    "blanks": ("user\torder\titems\n", lambda user, items: f"{user}\t1\t{' '.join(items)}"),
    "bars": ("user,items\n", lambda user, items: f"{user},{'|'.join(items)}"),
    "JSON": ("user\titems\n", lambda user, items: f"{user}\t{json.dumps(items)}"),
    "Python": ("user\titems\n", lambda user, items: f"{user}\t{items}"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_column_that_holds_a_list_of_items_is_unfolded(tmp_path: Path, name: str) -> None:
    header, row = LISTS[name]
    baskets = {"ann": ["i1", "i2", "i3"], "ben": ["i2", "i4"]}
    path = written(tmp_path / "baskets.txt", header + "".join(row(*basket) + "\n" for basket in baskets.items()))
    found = read(path)
    assert (found.ratings.n_users, found.ratings.n_items) == (2, 4)
    pairs = "ann,i1\nann,i2\nann,i3\nben,i2\nben,i4\n"
    assert rows_of(found) == rows_of(read(written(tmp_path / "pairs.csv", "user,item\n" + pairs)))


def test_lists_in_parquet_and_json_are_unfolded(tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"user": ["ann", "ben"], "items": [["a, b", "c"], ["c"]]}), path)
    text = '{"user": "ann", "items": ["a, b", "c"]}\n{"user": "ben", "items": ["c"]}\n'
    pairs = 'user,item\nann,"a, b"\nann,c\nben,c\n'
    expected = rows_of(read(written(tmp_path / "pairs.csv", pairs)))
    for found in (read(path), read(written(tmp_path / "lists.jsonl", text))):
        assert rows_of(found) == expected


def test_a_row_without_its_list_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "lists.tsv", "user\titems\nann\t1 2\nben\t\n")
    with pytest.raises(SourceError, match="line 3: the item is empty"):
        read(path)


def test_quotes_are_read_wherever_they_first_appear(tmp_path: Path) -> None:
    rows = [f"{at % 9},Game {at % 13},purchase,1.0,0" for at in range(300)]
    quoted_row = '5,"War, 40,000 ""Dawn""",play,2.0,0'
    said = {"columns": ("user", "item", "-", "value", "-")}
    late = read(written(tmp_path / "late.csv", "\n".join([*rows, quoted_row]) + "\n"), **said)
    first = read(written(tmp_path / "first.csv", "\n".join([quoted_row, *rows]) + "\n"), **said)
    assert late.file.n_rows == first.file.n_rows == 301
    assert rows_of(late) == rows_of(first)
    assert first.file.first_rows[0]["item"] == 'War, 40,000 "Dawn"'


def test_quotes_that_are_plain_characters(tmp_path: Path) -> None:
    path = written(tmp_path / "names.tsv", 'user\titem\nann\t"Weird\nben\tAl\n')
    assert read(path, quote=False).ratings.n_items == 2
    with pytest.raises(SourceError, match=r"line 2: a double quote is opened.*say --no-quote"):
        read(path)


def test_a_line_break_inside_quotes_is_part_of_a_field(tmp_path: Path) -> None:
    text = 'user,title,item\r\nann,"two\nlines, ""of"" text",a\r\nben,one,b\r\n'
    found = read(written(tmp_path / "reviews.csv", text), columns=("user", "-", "item"))
    assert (found.file.n_rows, found.ratings.n_items) == (2, 2)


def test_a_file_that_is_not_utf_8_is_told_with_the_option(tmp_path: Path) -> None:
    path = written(tmp_path / "books.csv", '"User-ID";"ISBN";"Book-Rating"\r\n"1";"3-\xe9";"5"\r\n', "latin-1")
    with pytest.raises(SourceError, match=r"books\.csv, line 2: the line is not utf-8.*say --encoding"):
        read(path)
    assert read(path, encoding="latin-1").file.first_rows == ({"user": "1", "item": "3-é", "value": "5"},)
    lists = written(tmp_path / "lists.txt", "1 2 3\n2 \xe9\n3 4 5 6\n", "latin-1")
    with pytest.raises(SourceError, match="line 2: the line is not utf-8"):
        read(lists, format="adjacency")


def test_utf_16_is_told_with_the_option(tmp_path: Path) -> None:
    path = written(tmp_path / "excel.csv", "user,item\nann,b\n", "utf-16")
    with pytest.raises(SourceError, match="say --encoding utf-16"):
        read(path)
    assert read(path, encoding="utf-16").file.n_rows == 1


def test_times_of_another_format_and_zone(tmp_path: Path) -> None:
    path = written(tmp_path / "shop.csv", "user,item,at\nann,a,01-12-10 08:26\nann,b,28-12-10 09:19\n")
    columns = ("user", "item", "timestamp")
    with pytest.raises(SourceError, match="'01-12-10 08:26' are not ISO 8601: say --time-format, such as '%d-%m-%y"):
        read(path, columns=columns)
    utc = read(path, columns=columns, time_format="%d-%m-%y %H:%M").ratings.timestamp_us
    assert utc.tolist() == [1_291_191_960_000_000, 1_293_527_940_000_000]  # 2010-12-01 08:26 and 2010-12-28 09:19
    berlin = read(path, columns=columns, time_format="%d-%m-%y %H:%M", time_zone="Europe/Berlin").ratings.timestamp_us
    assert (utc - berlin).tolist() == [3_600_000_000] * 2


@pytest.mark.parametrize("time", ["0001-12-10", "1902-01-01", "2999-01-01T00:00Z"])
def test_a_time_that_nothing_happened_at_is_named(tmp_path: Path, time: str) -> None:
    path = written(tmp_path / "shop.csv", f"user,item,time\nann,a,2010-12-01\nann,b,{time}\n")
    with pytest.raises(SourceError, match=f"line 3: timestamp '{time}' is outside 1970-01-01 to"):
        read(path)


def test_compact_days_and_decimal_commas_are_iso(tmp_path: Path) -> None:
    path = written(tmp_path / "shop.tsv", "user\titem\ttime\nann\ta\t20101201\nann\tb\t2010-12-01 00:00:01,5\n")
    assert read(path).ratings.timestamp_us.tolist() == [1_291_161_600_000_000, 1_291_161_601_500_000]


WRONG = {
    "an array": ('[{"user": 1}]\n', {}, SourceError, "one JSON array: give one object in each line"),
    "half an object": ('{"user": 1,\n "item": 2}\n', {}, SourceError, "line 1 is no JSON object"),
    "Python": ("{'user': 1, 'item': 2}\n", {}, SourceError, "looks like Python, not JSON"),
    "no keys that are known": ('{"payer": 1, "thing": 2}\n', {}, SourceError, "no known name of a column of users"),
    "a key that is not there": ('{"a": 1, "b": 2}\n', {"columns": ("user=a", "item=c")}, SettingError, "no column 'c'"),
    "an unknown encoding": ("1,2\n", {"encoding": "latin-99"}, SettingError, "--encoding 'latin-99' is none of text"),
    "an unknown zone": ("1,2\n", {"time_zone": "Berlin"}, SettingError, "--time-zone 'Berlin' is no IANA time zone"),
    "a wrong format": ("1,2\n", {"time_format": "%Q"}, SettingError, "--time-format '%Q' cannot be used"),
    "no separator": ("1,2\n", {"separator": ""}, SettingError, "--separator is empty"),
    "quotes with a long separator": ("1,2\n", {"separator": "::", "quote": True}, SettingError, "--quote needs a sep"),
    "a zone of epochs": ("user,item,ts\n1,2,1700000000\n", {"time_zone": "Asia/Tokyo"}, SettingError, "no zone"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_told_with_a_way_out(tmp_path: Path, name: str) -> None:
    text, said, error, reason = WRONG[name]
    with pytest.raises(error, match=reason):
        read(written(tmp_path / "data.txt", text), **said)
