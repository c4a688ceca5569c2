"""What most people turned from is recommended to nobody, and one user's wish hides an item from that user alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.assemble import ServedItems, served_catalogue
from recsys_pipeline.core.serving.rejection import rejected_items
from recsys_pipeline.core.speed.new_items import catalogue_change
from recsys_pipeline_tests.release_fixtures import ITEM_IDS, OFF_SALE, catalogue, tiny_release


def pairs(*users_of_items: int) -> Ratings:
    """So many users for each item."""
    user = np.concatenate([np.arange(n, dtype=np.int32) for n in users_of_items])
    item = np.repeat(np.arange(len(users_of_items), dtype=np.int32), users_of_items)
    return Ratings(user, item, np.ones(len(user), np.float32), np.zeros(len(user), np.int64), 100, len(users_of_items))


@pytest.mark.parametrize(
    ("yes", "no", "is_rejected"),
    [(0, 1, False), (0, 3, False), (0, 4, True), (5, 55, True), (20, 30, False), (30, 60, True), (50, 5, False)],
)
def test_an_item_is_rejected_where_most_who_know_it_turned_from_it(yes: int, no: int, is_rejected: bool) -> None:
    """An item that 55 of 60 people hated led the lists of the five others."""
    assert rejected_items(pairs(yes, 1), pairs(no, 0)).tolist() == [0] * is_rejected


def test_a_rejected_item_is_in_no_list_with_a_catalogue_or_without() -> None:
    items = ServedItems(["a", "b", "new"], np.zeros((3, 2), np.float32), ["learned", "mapped", "mapped"])
    listed = pa.Table.from_pylist(
        [{**row, "item_id": name} for row, name in zip(catalogue().to_pylist()[:3], items.ids, strict=True)],
        schema=catalogue().schema,
    )
    for offer in (None, listed):
        table = served_catalogue(items, pairs(3, 2), 10, 1.0, offer, np.array([1]))
        assert table["available"].to_pylist() == [True, False, True]
        assert table["kind"].to_pylist() == items.kind


def test_an_hour_does_not_bring_a_rejected_item_back(tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    now = catalogue().set_column(4, "available", pa.array([True] * catalogue().num_rows))
    assert catalogue_change(release, now).on_sale_again == [OFF_SALE]
    rejecting = dataclasses.replace(release, rejected=(ITEM_IDS.index(OFF_SALE),))
    assert catalogue_change(rejecting, now).on_sale_again == []
