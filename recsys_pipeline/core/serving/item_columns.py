"""What is known of each item on offer, by row: the release's catalogue, and below it the overlay's new items."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int32, Int64

from recsys_pipeline.core.serving.overlay_protocol import Overlay
from recsys_pipeline.core.serving.release import CATALOGUE, Release


@dataclass(frozen=True)
class ItemColumns:
    """Columns of `CATALOGUE` as arrays, each made when first asked for."""

    table: pa.Table

    @classmethod
    def of(cls, release: Release, overlay: Overlay | None) -> "ItemColumns":
        """Of both."""
        tables = [release.catalogue] if overlay is None else [release.catalogue, overlay.items.cast(CATALOGUE)]
        return cls(pa.concat_tables(tables).combine_chunks())

    def titles(self, rows: Int64[np.ndarray, " n"]) -> list[str]:
        """Titles of rows; "" where the source has none, and for −1."""
        found = self.table["title"].chunk(0).take(pa.array(np.maximum(rows, 0))).to_pylist()
        return [title if row >= 0 else "" for title, row in zip(found, rows.tolist(), strict=True)]

    @cached_property
    def price(self) -> Float64[np.ndarray, " rows"]:
        """NaN where it is not known."""
        return self.table["price"].to_numpy(zero_copy_only=False).astype(np.float64)

    @cached_property
    def created_us(self) -> Float64[np.ndarray, " rows"]:
        """NaN where it is not known; microseconds of this century are whole in float64."""
        filled = self.table["created_at"].cast(pa.int64()).to_numpy(zero_copy_only=False)
        return filled.astype(np.float64)

    @cached_property
    def category(self) -> Int32[np.ndarray, " rows"]:
        """The place in `categories` of each item's first category; −1 where it has none."""
        starts, codes = self._codes
        has = starts[1:] > starts[:-1]
        found = np.full(self.table.num_rows, -1, np.int32)
        found[has] = codes[starts[:-1][has]]
        return found

    @cached_property
    def categories(self) -> list[str]:
        """All categories, in ascending order."""
        return sorted(set(self._values))

    def in_categories(self, names: Sequence[str]) -> Bool[np.ndarray, " rows"]:
        """Which items have one of these categories, first or not; costs O(those items)."""
        starts, rows = self._by_category
        found = np.zeros(self.table.num_rows, bool)
        for name in names:
            at = bisect_left(self.categories, name)
            if at < len(self.categories) and self.categories[at] == name:
                found[rows[starts[at] : starts[at + 1]]] = True
        return found

    @cached_property
    def _by_category(self) -> tuple[Int64[np.ndarray, " categories_and_end"], Int64[np.ndarray, " values"]]:
        """Where each category's items begin among all, and their rows."""
        starts, codes = self._codes
        row = np.repeat(np.arange(self.table.num_rows), np.diff(starts))
        counts = np.bincount(codes, minlength=len(self.categories))
        return np.concatenate([[0], np.cumsum(counts)]), row[np.argsort(codes, kind="stable")]

    @cached_property
    def _lists(self) -> pa.ListArray:
        column = self.table["categories"]
        return column.chunk(0) if column.num_chunks else pa.array([], pa.list_(pa.string()))

    @cached_property
    def _values(self) -> list[str]:
        return self._lists.flatten().to_pylist()

    @cached_property
    def _codes(self) -> tuple[Int64[np.ndarray, " rows_and_end"], Int32[np.ndarray, " values"]]:
        """Where each item's categories begin among all, and these as places in `categories`."""
        lengths = self._lists.value_lengths().to_numpy(zero_copy_only=False)
        starts = np.concatenate([[0], np.cumsum(np.nan_to_num(lengths))]).astype(np.int64)
        place = {name: at for at, name in enumerate(self.categories)}
        return starts, np.array([place[name] for name in self._values], np.int32)
