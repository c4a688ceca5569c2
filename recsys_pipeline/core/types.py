"""Frozen records that cross stages: time windows, sparse ratings, settings with their help text."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.errors import DataError, SettingError


def setting(default: Any, help: str, **bounds: float | int) -> Any:
    """A dataclass field that carries its help text and bounds (`ge`, `gt`, `le`, `lt`) to forms, sweeps and docs.

    >>> @dataclass(frozen=True)
    ... class Config:
    ...     epochs: int = setting(10, "Passes over the training data.", ge=1)
    """
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


@dataclass(frozen=True, order=True)
class Window:
    """Half-open time window `[start, end)`, both timezone-aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.utcoffset() != timedelta(0):
                raise SettingError(f"Window.{name} must be UTC, got {value!r}: use datetime(..., tzinfo=UTC)")
        if self.start > self.end:
            raise SettingError(f"window starts at {self.start} after its end {self.end}")

    @classmethod
    def of_day(cls, day: date) -> "Window":
        """The window of one calendar day, UTC."""
        return cls.of_days(day, day)

    @classmethod
    def of_days(cls, first: date, last: date) -> "Window":
        """The window that covers `first` to `last`, both included."""
        start = datetime.combine(first, time(), UTC)
        return cls(start, datetime.combine(last, time(), UTC) + timedelta(days=1))

    def days(self) -> Iterator[date]:
        """Each calendar day that the window touches, in order."""
        day = self.start.date()
        while datetime.combine(day, time(), UTC) < self.end:
            yield day
            day += timedelta(days=1)


@dataclass(frozen=True)
class Ratings:
    """Sparse user × item values in coordinate form; ids are dense row numbers of the snapshot's id maps.

    `timestamp_us` is microseconds since the epoch, UTC. Ids are checked here, once, because JAX clamps
    out-of-range gathers silently.
    """

    user: Int32[np.ndarray, " n"]
    item: Int32[np.ndarray, " n"]
    value: Float32[np.ndarray, " n"]
    timestamp_us: Int64[np.ndarray, " n"]
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        lengths = {len(self.user), len(self.item), len(self.value), len(self.timestamp_us)}
        if len(lengths) != 1:
            raise DataError(f"ratings columns differ in length: {sorted(lengths)}")
        for name, ids, size in (("user", self.user, self.n_users), ("item", self.item, self.n_items)):
            if len(ids) and not (ids.min() >= 0 and ids.max() < size):
                raise DataError(f"{name} ids span {ids.min()}..{ids.max()}, outside 0..{size - 1}: rebuild the id map")
        if not np.isfinite(self.value).all():
            row = int(np.flatnonzero(~np.isfinite(self.value))[0])
            raise DataError(f"rating in row {row} is {self.value[row]}: values must be finite")

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> "Ratings":
        """The given rows (indices or a mask), with the same id space."""
        return dataclasses.replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            value=self.value[rows],
            timestamp_us=self.timestamp_us[rows],
        )


@dataclass(frozen=True)
class ArtifactRef:
    """Points at one version of one artifact: what lineage edges are made of."""

    key: str
    partition: str
    digest: str
