"""What the catalogue says of products that are shown: title, price, availability, in the order of their rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class Shelf:
    """One entry per product."""

    titles: list[str]
    """The id where the catalogue has no title."""
    prices: Float64[np.ndarray, " products"]
    """NaN where unknown."""
    available: Bool[np.ndarray, " products"]

    @classmethod
    def of(cls, ids: Sequence[str], items: pa.Table) -> "Shelf":
        """The rows of the `items` table with these ids.

        A product that the catalogue does not list cannot be bought. Where there is no catalogue at all (no rows),
        nothing is known against any product: all are available, at unknown prices.
        """
        columns = [name for name in ("item_id", "title", "price", "available") if name in items.column_names]
        known = {row["item_id"]: row for row in items.select(columns).to_pylist()}
        rows = [known.get(name, _unlisted(bool(known))) for name in ids]
        return cls(
            titles=[row.get("title") or name for row, name in zip(rows, ids, strict=True)],
            prices=np.array([math.nan if row.get("price") is None else row["price"] for row in rows], np.float64),
            available=np.array([bool(row.get("available", True)) for row in rows], bool),
        )


def _unlisted(has_catalogue: bool) -> Mapping[str, Any]:
    return {"available": not has_catalogue}
