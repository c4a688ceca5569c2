"""Frozen records that cross stages: time windows, sparse ratings, settings that carry help text and bounds."""

import contextlib
import dataclasses
import math
import numbers
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.errors import DataError, SettingError

Progress = Callable[[str, dict[str, float]], None]
"""Called with a short step label and metrics as training goes on; the caller shows or logs them."""

BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HOUR_KEY = "%Y-%m-%d-%H:%M"
"""How Dagster writes the key of an hourly partition."""


def microseconds(instant: datetime) -> int:
    """Microseconds since the epoch; raises `SettingError` for an instant that is not UTC."""
    if instant.utcoffset() != timedelta(0):
        raise SettingError(f"{instant!r} must be UTC: use datetime(..., tzinfo=UTC)")
    return (instant - EPOCH) // timedelta(microseconds=1)


def setting(default: Any, help: str, **bounds: float | int) -> Any:
    """A dataclass field that carries its help text and bounds (`ge`, `gt`, `le`, `lt`) to forms, sweeps and docs.

    >>> @dataclass(frozen=True)
    ... class Config:
    ...     epochs: int = setting(10, "Passes over the training data.", ge=1)
    ...     __post_init__ = check_settings
    >>> Config(epochs=0)
    Traceback (most recent call last):
        ...
    recsys_pipeline.core.errors.SettingError: Config.epochs must be at least 1, got 0
    """
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


def check_settings(config: Any) -> None:
    """Bring every field of a config dataclass to its type and check its bounds: the `__post_init__` of all configs."""
    for field in dataclasses.fields(config):
        value = check_setting(type(config), field.name, getattr(config, field.name))
        object.__setattr__(config, field.name, value)


def check_setting(config: type, name: str, value: Any, path: str | None = None) -> Any:
    """A value as the type of the config's field `name` (an int where a float is asked becomes one), within its bounds.

    Raises `SettingError`, which names the field by `path`; that is `Config.name` where none is given.
    """
    path = path or f"{config.__name__}.{name}"
    fields = {field.name: field for field in dataclasses.fields(config)}
    if name not in fields:
        raise SettingError(f"{path}: {config.__name__} has no field {name!r}; it has {', '.join(sorted(fields))}")
    value = _as_type(value, typing.get_type_hints(config)[name], path)
    for bound, (words, holds) in BOUNDS.items():
        limit = fields[name].metadata.get(bound)
        if limit is not None and not holds(value, limit):
            raise SettingError(f"{path} must be {words} {limit}, got {value!r}")
    return value


def _as_type(value: Any, kind: Any, path: str) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise SettingError(f"{path} must be one of {', '.join(map(repr, choices))}, got {value!r}")
        return value
    if typing.get_origin(kind) is tuple and isinstance(value, tuple | list):  # JSON and YAML know only lists
        return tuple(_as_type(part, typing.get_args(kind)[0], f"{path}[{at}]") for at, part in enumerate(value))
    if kind in (int, float) and isinstance(value, numbers.Real) and not isinstance(value, bool):
        if math.isfinite(value) if kind is float else float(value).is_integer():
            return kind(typing.cast(Any, value))
        raise SettingError(f"{path} must be {'finite' if kind is float else 'a whole number'}, got {value!r}")
    if (kind in (int, float, str, bool) and type(value) is not kind) or typing.get_origin(kind) is tuple:
        raise SettingError(f"{path} must be of type {getattr(kind, '__name__', kind)}, got {value!r}")
    return value


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

    @classmethod
    def of_hour(cls, start: datetime) -> "Window":
        """The window of the hour that begins at `start`."""
        return cls(start, start + HOUR)

    @classmethod
    def of_partition(cls, key: str) -> "Window":
        """The window of a daily (`2026-01-05`) or hourly (`2026-01-05-13:00`) partition key.

        >>> Window.of_partition("2026-01-05-13:00").start.isoformat()
        '2026-01-05T13:00:00+00:00'
        """
        for written, length in (("%Y-%m-%d", DAY), (HOUR_KEY, HOUR)):
            with contextlib.suppress(ValueError):
                start = datetime.strptime(key, written).replace(tzinfo=UTC)
                return cls(start, start + length)
        raise SettingError(f"{key!r} is no partition: write a day as 2026-01-05, an hour as 2026-01-05-13:00")

    def days(self) -> Iterator[date]:
        """Each calendar day that the window touches, in order."""
        return (start.date() for start in self.periods(DAY))

    def periods(self, length: timedelta) -> Iterator[datetime]:
        """First moments of all periods (counted from the epoch) that the window touches, in order."""
        start = self.start - (self.start - EPOCH) % length
        while start < self.end and self.start < self.end:
            yield start
            start += length


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
