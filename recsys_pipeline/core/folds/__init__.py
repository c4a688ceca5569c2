"""Folds: which rows a model may learn from, which it is tuned on, and which it is judged on."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from recsys_pipeline.core.ratings import Ratings

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Row numbers of one division in two; together they may be less than all rows (a delay drops rows)."""

    train: Int64[np.ndarray, " train_rows"]
    test: Int64[np.ndarray, " test_rows"]


@dataclass(frozen=True)
class Fold:
    """Train, validation and test ratings in one id space.

    Models that are judged on `test` may learn from `train_and_validation`; models that are tuned learn from
    `train` and are compared on `validation`.
    """

    train: Ratings
    validation: Ratings
    test: Ratings

    @property
    def train_and_validation(self) -> Ratings:
        """Everything that may be known before the test rows."""
        columns = {
            name: np.concatenate([getattr(self.train, name), getattr(self.validation, name)])
            for name in ("user", "item", "value", "timestamp_us")
        }
        return dataclasses.replace(self.train, **columns)

    def is_in_order(self) -> bool:
        """Whether, for every user, nothing in train is later than validation, and neither is later than test."""
        bounds = [_first_and_last(getattr(self, part)) for part in PARTS]
        return all(
            bool((earlier[1] <= later[0]).all()) for i, earlier in enumerate(bounds) for later in bounds[i + 1 :]
        )

    def save(self, directory: Path) -> None:
        """One Parquet file per part, and the sizes of the id space."""
        for part in PARTS:
            ratings: Ratings = getattr(self, part)
            columns = {name: getattr(ratings, name) for name in ("user", "item", "value", "timestamp_us")}
            pq.write_table(pa.table(columns), directory / f"{part}.parquet", compression="zstd")
        sizes = {"n_users": self.train.n_users, "n_items": self.train.n_items}
        (directory / "fold.json").write_text(json.dumps(sizes))

    @classmethod
    def load(cls, directory: Path) -> "Fold":
        """Read what `save` wrote."""
        sizes = json.loads((directory / "fold.json").read_text())
        tables = {part: pq.read_table(directory / f"{part}.parquet") for part in PARTS}
        return cls(
            **{
                part: Ratings(**{name: table.column(name).to_numpy() for name in table.column_names}, **sizes)
                for part, table in tables.items()
            }
        )


def _first_and_last(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    limits = np.iinfo(np.int64)
    first = np.full(ratings.n_users, limits.max)
    last = np.full(ratings.n_users, limits.min)
    np.minimum.at(first, ratings.user, ratings.timestamp_us)
    np.maximum.at(last, ratings.user, ratings.timestamp_us)
    return first, last


def users_cut_in_a_tie(earlier: Ratings, later: Ratings) -> int:
    """Users whose cut falls among rows of one instant: what stands on which side of it was drawn, not observed."""
    last = _first_and_last(earlier)[1]
    first = _first_and_last(later)[0]
    return int((first == last).sum())


def divide(ratings: Ratings, outer: Split, inner: Split) -> Fold:
    """Apply two divisions: `outer` cuts the test rows off, `inner` (of the outer train rows) the validation rows."""
    known = ratings.take(outer.train)
    return Fold(train=known.take(inner.train), validation=known.take(inner.test), test=ratings.take(outer.test))
