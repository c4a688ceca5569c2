"""JSON lines: keys, paths, lists of events in a line, and what a bad line costs."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import EPOCH_S, LATER, rating_line, rows_of, source_over, write_lines

KEYS = {"user_id": "user", "item_id": "asin", "value": "stars", "timestamp": "at"}


def review(user: Any, asin: Any, **more: Any) -> dict[str, Any]:
    return {"user": user, "asin": asin, "stars": 4.5, "at": EPOCH_S * 1000, "text": 'Two\nlines, "quoted"', **more}


def reviews(path: Path, rows: list[Any]) -> None:
    content = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def over(tmp_path: Path, rows: list[Any], name: str = "r.jsonl", **options: Any) -> list[dict]:
    reviews(tmp_path / name, rows)
    return rows_of(source_over(tmp_path, **{"path": name, "columns": KEYS, "time_unit": "ms", **options}))


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.ndjson", "r.ndjson.gz", "r.json"])
def test_keys_are_columns(tmp_path: Path, name: str) -> None:
    first, second = over(tmp_path, [review("u1", "B01"), {**review("u2", "B02"), "stars": 1}], name)
    assert (first["user_id"], first["item_id"], first["value"], first["source_row"]) == ("u1", "B01", 4.5, 1)
    assert (second["user_id"], second["value"], second["defect"]) == ("u2", 1.0, None)


def test_ids_are_as_they_are_written(tmp_path: Path) -> None:
    rows = over(tmp_path, [review(12345678901234567890, "0007"), review(7, "ü"), review(12345678901234567890123, 1.0)])
    assert [row["user_id"] for row in rows] == ["12345678901234567890", "7", "12345678901234567890123"]
    assert [row["item_id"] for row in rows] == ["0007", "ü", "1"], "a whole number is one"


def test_a_key_that_is_null_absent_or_nan_is_no_id(tmp_path: Path) -> None:
    no_key = {key: value for key, value in review("u", "B").items() if key != "user"}
    rows = over(tmp_path, [review("u", "B"), no_key, review(None, "B"), review(float("nan"), "B")])
    assert [row["user_id"] for row in rows] == ["u", None, None, None]


def test_a_day_may_lack_a_key_that_rows_may_lack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (row,) = over(tmp_path, [review("u", "B")], columns={**KEYS, "request_id": "list", "position": "place"})
    assert (row["request_id"], row["position"], row["defect"]) == (None, None, None)
    assert "none of its first lines has list, place, which is left empty" in caplog.text


def test_a_line_that_is_no_json_is_one_bad_row(tmp_path: Path) -> None:
    rows = over(tmp_path, [review("u1", "B"), '{"user": "cut', "[1, 2]", "", review("u5", "B")])
    assert [(row["source_row"], row["defect"]) for row in rows] == [
        (1, None), (2, "the line is no JSON"), (3, "the line is no JSON object"), (5, None)
    ]  # fmt: skip


def test_paths_reach_into_objects_and_a_key_with_a_dot_is_a_key(tmp_path: Path) -> None:
    row = {"who": {"id": {"n": 5}}, "a.b": "item", "stars": 2, "at": EPOCH_S * 1000}
    columns = {**KEYS, "user_id": "who.id.n", "item_id": "a.b"}
    (found,) = over(tmp_path, [row], columns=columns)
    assert (found["user_id"], found["item_id"], found["defect"]) == ("5", "item", None)


SESSIONS = {"user_id": "session", "item_id": "events[].aid", "timestamp": "events[].ts", "event": "events[].type"}


def test_a_list_of_events_in_a_line_becomes_rows(tmp_path: Path) -> None:
    event = {"ts": EPOCH_S * 1000, "type": "clicks"}
    lines = [
        {"session": 0, "events": [{"aid": 5, **event}, {"aid": 6, **event, "type": "orders"}]},
        {"session": 1, "events": []},
        {"session": 2, "events": [{"aid": 7, **event}, {**event}]},
        {"session": 3},
    ]
    rows = over(tmp_path, lines, columns=SESSIONS, event=None, values={"clicks": 1.0, "orders": 6.0})
    found = [(row["source_row"], row["user_id"], row["item_id"], row["value"], row["defect"]) for row in rows]
    assert sorted(found, key=str) == [
        (1, "0", "5", 1.0, None),
        (1, "0", "6", 6.0, None),
        (3, "2", "7", 1.0, None),
        (3, "2", None, 1.0, None),
        (4, "3", None, None, "events is no list"),
    ]


def test_only_one_list_can_be_unfolded(tmp_path: Path) -> None:
    columns = {**SESSIONS, "timestamp": "times[]"}
    line = {"session": 1, "events": [{"aid": 1, "type": "c"}], "times": [1]}
    with pytest.raises(SourceError, match="elements of two lists, events and times: one can be unfolded"):
        over(tmp_path, [line], columns=columns, event=None, values={"c": 1.0})


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        ([review("u", "B")], {**KEYS, "item_id": "sku"}, r"no key 'sku' \(interactions.columns.item_id\); .*'asin'"),
        ([review("u", "B")], {**KEYS, "item_id": 2}, "interactions.columns.item_id is the position 2: give a key"),
        (["[", "{", "}", "]"], KEYS, r"r\.jsonl holds no JSON lines: line 1 is no JSON object; .* jq -c"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, lines: list[Any], columns: dict, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        over(tmp_path, lines, columns=columns)


def test_a_catalogue_of_json_lines_has_lists_of_categories(tmp_path: Path) -> None:
    write_lines(tmp_path / "ratings.dat", [rating_line(1, 1)])
    reviews(
        tmp_path / "meta.jsonl", [{"id": "B1", "cats": ["Home", "Lamps|Desk"], "details": {"price": 4}}, {"id": "B2"}]
    )
    columns = {"item_id": "id", "categories": "cats", "price": "details.price"}
    first, second = (
        source_over(tmp_path, items={"path": "meta.jsonl", "columns": columns, "kind": "table"})
        .items(LATER)
        .to_pylist()
    )
    assert (first["categories"], first["price"]) == (["Home", "Lamps|Desk"], 4.0)
    assert (second["categories"], second["price"], second["defect"]) == ([], None, None)


def test_events_that_the_api_accepted_are_read_by_a_files_source(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    at = datetime.fromtimestamp(EPOCH_S, UTC)
    sent = [
        {"event_id": f"e-{n}", "user_id": "u", "item_id": f"i-{n}", "event": "click", "value": 1.0,
         "timestamp": (at + timedelta(hours=n)).isoformat(), **({"request_id": "r", "position": 3} if n else {})}
        for n in range(2)
    ]  # fmt: skip
    assert log.accept(sent) == 2
    columns = {name: name for name in ("user_id", "item_id", "event", "value", "timestamp", "request_id", "position")}
    found = source_over(tmp_path, path="*/*.jsonl", columns=columns, time_unit="iso", event=None)
    rows = sorted(
        rows_of(found, Window(at - timedelta(hours=1), at + timedelta(hours=3))), key=lambda row: row["item_id"]
    )
    assert [(row["item_id"], row["event"], row["timestamp"], row["defect"]) for row in rows] == [
        ("i-0", "click", at, None), ("i-1", "click", at + timedelta(hours=1), None)
    ]  # fmt: skip
    assert (rows[1]["request_id"], rows[1]["position"]) == ("r", 3)
