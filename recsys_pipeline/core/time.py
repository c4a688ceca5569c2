"""Time: UTC, half-open windows, days and hours as partitions are named."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from recsys_pipeline.core.errors import SettingError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HOUR_KEY = "%Y-%m-%d-%H:%M"
"""How Dagster writes the key of an hourly partition."""


def microseconds(instant: datetime) -> int:
    """Microseconds since the epoch; raises `SettingError` for an instant that is not UTC."""
    if instant.utcoffset() != timedelta(0):
        raise SettingError(f"{instant!r} must be UTC: use datetime(..., tzinfo=UTC)")
    return (instant - EPOCH) // timedelta(microseconds=1)


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
