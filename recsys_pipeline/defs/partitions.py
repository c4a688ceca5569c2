"""Partitions, UTC: days are the batch layer's only clock, hours the speed layer's."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import dagster as dg

from recsys_pipeline.core.dataset.sources import DayRange, Source
from recsys_pipeline.defs.archives import archive_end
from recsys_pipeline.defs.resources import configured_source
from recsys_pipeline.settings import settings


def daily_partitions(days: DayRange, today: date) -> dg.DailyPartitionsDefinition:
    """A partition for each day from the source's first; an archive's end with its last."""
    end = archive_end(days, today)
    last = None if end is None else end.isoformat()
    return dg.DailyPartitionsDefinition(start_date=days.first.isoformat(), end_date=last, timezone="UTC")


def hourly_partitions(days: DayRange, today: date, newest_days: int) -> dg.HourlyPartitionsDefinition:
    """A partition for each hour of the source's newest days; an archive's end with its last day.

    Bounded when the code location is loaded, because the UI gets slow beyond 30,000 partitions; 0 takes all days.
    """
    daily = daily_partitions(days, today)
    last = daily.end.date() - timedelta(days=1) if daily.end is not None else today
    newest = last - timedelta(days=newest_days - 1) if newest_days else days.first
    first = max(days.first, newest)
    end = f"{daily.end.date().isoformat()}-00:00" if daily.end is not None else None
    return dg.HourlyPartitionsDefinition(start_date=f"{first.isoformat()}-00:00", end_date=end, timezone="UTC")


@dataclass(frozen=True)
class Partitions:
    """The days and the hours of a source."""

    daily: dg.DailyPartitionsDefinition
    hourly: dg.HourlyPartitionsDefinition


def partitions_of(source: Source, newest_days: int) -> Partitions:
    """Those of a source as of today; hours of its newest days alone."""
    today, days = datetime.now(UTC).date(), source.days()
    return Partitions(daily_partitions(days, today), hourly_partitions(days, today, newest_days))


@cache
def configured_partitions() -> Partitions:
    """Those of the configured source, found once per process."""
    return partitions_of(configured_source(), settings().hourly_days)


def daily() -> dg.DailyPartitionsDefinition:
    """The days of the configured source."""
    return configured_partitions().daily


def hourly() -> dg.HourlyPartitionsDefinition:
    """The hours of the configured source."""
    return configured_partitions().hourly
