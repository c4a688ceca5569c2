"""Join shares: by rows and ids, with examples of both sides, and the bound."""

import math

import pyarrow as pa
import pytest

from recsys_pipeline.core.dataset.joins import join_share
from recsys_pipeline.core.errors import DataError


def column(*names: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(names, pa.string())])


def test_rows_and_ids_are_counted_and_the_most_frequent_missing_ones_named() -> None:
    found = join_share("events", column("a", "a", "b", "c", "c", "d"), column("a", "b", "x"))
    assert (found.rows, found.rows_joined, found.ids, found.ids_joined) == (6, 3, 4, 2)
    assert found.missing == ("c", "d")
    assert found.share == 0.5
    found.check(0.5)


def test_ids_that_are_written_otherwise_are_shown_beside_those_they_mean() -> None:
    found = join_share("events", column("SKU-0102", "SKU-0103"), column("a1", "sku102", "sku0102"))
    assert found.known == ("sku0102",)
    with pytest.raises(DataError, match=r"none of 2 item ids of the events .*'SKU-0102', 'SKU-0103' against 'sku0102'"):
        found.check(0.5)


def test_no_rows_have_no_share_and_fail_nothing() -> None:
    found = join_share("events", column(), column("a"))
    assert math.isnan(found.share)
    found.check(1.0)
