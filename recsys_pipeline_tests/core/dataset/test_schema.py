"""The contract: which tables enter, which rows go to the quarantine, and with what reason."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from recsys_pipeline.core.dataset.schema import (
    INTERACTIONS,
    ITEMS,
    LOOKS,
    TRACE,
    check_columns,
    validate_items,
    validate_looks,
)
from recsys_pipeline.core.errors import SourceError

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
ITEM = {"item_id": "a", "title": "A chair", "categories": ["chair"], "available": True}
LOOK = {"scene_id": "s", "product_id": "p", "category": "c", "scene_image": "s.jpg", "product_image": "p.jpg"}


def nullable(contract: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in [*contract, *TRACE]])


def items(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist([{**ITEM, **row} for row in rows], schema=nullable(ITEMS))


def looks(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist([{**LOOK, **row} for row in rows], schema=nullable(LOOKS))


def test_good_items_pass_unchanged_and_sorted() -> None:
    day_before = datetime(2026, 3, 1, tzinfo=UTC)
    checked = validate_items(items({"item_id": "b", "price": 0.0}, {"item_id": "a", "created_at": day_before}), AS_OF)
    assert checked.clean.schema.equals(ITEMS)
    assert checked.clean.column("item_id").to_pylist() == ["a", "b"]
    assert checked.clean.column("price").to_pylist() == [None, 0.0]
    assert checked.quarantine.num_rows == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"item_id": None}, "item_id is empty"),
        ({"item_id": ""}, "item_id is empty"),
        ({"title": None}, "title is missing"),
        ({"categories": None}, "categories are missing"),
        ({"categories": ["chair", None]}, "categories are missing"),
        ({"available": None}, "available is missing"),
        ({"price": -0.01}, "price -0.01 is not a finite number of 0 or more"),
        ({"price": float("nan")}, "price nan is not a finite number of 0 or more"),
        ({"price": float("inf")}, "price inf is not a finite number of 0 or more"),
        ({"created_at": AS_OF}, "created_at is at or after 2026-03-02T00:00:00+00:00"),
        ({"defect": "expected 3 fields, found 2", "item_id": None}, "expected 3 fields, found 2"),
    ],
)
def test_bad_item_is_quarantined_with_its_place_and_reason(row: dict, reason: str) -> None:
    checked = validate_items(items({}, {"item_id": "z", "source_file": "items.csv", "source_row": 7, **row}), AS_OF)
    assert checked.clean.column("item_id").to_pylist() == ["a"]
    (bad,) = checked.quarantine.to_pylist()
    assert (bad["source_file"], bad["source_row"]) == ("items.csv", 7)
    assert bad["reason"].startswith(reason)
    assert json.loads(bad["raw"])["item_id"] == row.get("item_id", "z")


def test_first_of_duplicate_ids_stays_and_broken_rows_do_not_count() -> None:
    rows = [{"title": "broken", "price": -1.0}, {"title": "first"}, {"title": "second"}, {"title": "third"}]
    checked = validate_items(items(*rows), AS_OF)
    assert checked.clean.column("title").to_pylist() == ["first"]
    reasons = checked.quarantine.column("reason").to_pylist()
    assert [reason.split(":")[0] for reason in reasons[1:]] == ["duplicate", "duplicate"]
    titles = [json.loads(raw)["title"] for raw in checked.quarantine.column("raw").to_pylist()]
    assert titles == ["broken", "second", "third"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"product_id": ""}, "product_id is empty"),
        ({"category": None}, "category is empty"),
        ({"bbox": [0.1, 0.1, 0.5]}, "bbox has 3 numbers instead of 4"),
        ({"bbox": [-0.1, 0.1, 0.5, 0.5]}, "bbox [-0.1, 0.1, 0.5, 0.5] leaves the scene"),
        ({"bbox": [0.1, 0.1, 0.5, 1.5]}, "bbox [0.1, 0.1, 0.5, 1.5] leaves the scene"),
        ({"bbox": [0.1, float("nan"), 0.5, 0.5]}, "bbox [0.1, nan, 0.5, 0.5] leaves the scene"),
        ({"bbox": [0.1, None, 0.5, 0.5]}, "bbox [0.1, NULL, 0.5, 0.5] leaves the scene"),
        ({"bbox": [0.5, 0.1, 0.5, 0.5]}, "bbox [0.5, 0.1, 0.5, 0.5] has no area"),
        ({"bbox": [0.1, 0.6, 0.5, 0.5]}, "bbox [0.1, 0.6, 0.5, 0.5] has no area"),
        ({}, "duplicate"),
    ],
)
def test_bad_look_is_quarantined(row: dict, reason: str) -> None:
    checked = validate_looks(looks({}, row))
    assert checked.clean.num_rows == 1
    assert checked.quarantine.column("reason").to_pylist()[0].startswith(reason)


def test_a_pair_counts_once_and_its_first_box_stays_and_may_fill_the_scene() -> None:
    checked = validate_looks(looks({"bbox": [0, 0, 1, 1]}, {"bbox": [0.2, 0.2, 0.4, 0.4]}, {"product_id": "q"}))
    assert [row["bbox"] for row in checked.clean.to_pylist()] == [[0, 0, 1, 1], None]
    assert checked.quarantine["reason"].to_pylist() == ["duplicate: an earlier row has the same scene_id, product_id"]


def test_looks_with_boxes_of_fixed_size_pass() -> None:
    table = looks({"bbox": [0, 0, 0.5, 0.5]}).select(LOOKS.names)
    fixed = table.set_column(5, "bbox", pa.array([[0, 0, 0.5, 0.5]], pa.list_(pa.float32(), 4)))
    assert validate_looks(fixed).clean.equals(validate_looks(table).clean)


def test_wrong_columns_name_what_was_found_and_what_was_expected() -> None:
    found = pa.schema([("user_id", pa.int64()), ("item_id", pa.string()), ("stars", pa.float32())])
    with pytest.raises(SourceError) as error:
        check_columns(found, INTERACTIONS, "interactions")
    for part in ("missing ['event', 'value', 'timestamp']", "unknown ['stars']", "user_id is int64 instead of string"):
        assert part in str(error.value)
    assert "expected user_id string, item_id string" in str(error.value)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("ms", tz="UTC"), pa.timestamp("us", tz="Asia/Tokyo")]
)
def test_times_that_are_not_microseconds_utc_are_refused(kind: pa.DataType) -> None:
    found = INTERACTIONS.set(4, pa.field("timestamp", kind))
    with pytest.raises(SourceError, match="timestamp is timestamp"):
        check_columns(found, INTERACTIONS, "interactions")
