"""What the catalogue says of the products of looks: title, price, availability, in the order of their rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64

from recsys_pipeline.core.dataset.looks import LookData


@dataclass(frozen=True)
class Shelf:
    """One entry per product row of `LookData`."""

    titles: list[str]
    """The id where the catalogue has no title."""
    prices: Float64[np.ndarray, " products"]
    """NaN where unknown."""
    available: Bool[np.ndarray, " products"]

    @classmethod
    def of(cls, data: LookData, items: pa.Table) -> "Shelf":
        """The rows of the `items` table that the looks' products name.

        A product that the catalogue does not list cannot be bought. Where there is no catalogue at all (no rows),
        nothing is known against any product: all are available, at unknown prices.
        """
        columns = [name for name in ("item_id", "title", "price", "available") if name in items.column_names]
        known = {row["item_id"]: row for row in items.select(columns).to_pylist()}
        rows = [known.get(name, _unlisted(bool(known))) for name in data.product_ids]
        return cls(
            titles=[row.get("title") or name for row, name in zip(rows, data.product_ids, strict=True)],
            prices=np.array([math.nan if row.get("price") is None else row["price"] for row in rows], np.float64),
            available=np.array([bool(row.get("available", True)) for row in rows], bool),
        )


def _unlisted(has_catalogue: bool) -> Mapping[str, Any]:
    return {"available": not has_catalogue}
