"""Which sources are archives, whose data has an end; apart from the partitions, which open the source as they load."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from recsys_pipeline.core.dataset.sources import DayRange, Source
from recsys_pipeline.core.errors import RecsysError

ARCHIVE_AFTER = timedelta(days=60)
"""A source without a row for so long is an archive: its partitions end with it, until the code location is reloaded.
Another is taken to go on: new days are partitions as they pass, however long the process lives."""


def archive_end(days: DayRange, today: date) -> date | None:
    """The day after an archive's last; None of a source that goes on."""
    is_archive = days.last is not None and today - days.last > ARCHIVE_AFTER
    return days.last + timedelta(days=1) if days.last and is_archive else None


def newest_moment(open_source: Callable[[], Source], now: datetime) -> datetime:
    """Until when anything can be known: now, or the end of an archive.

    Where the source cannot be asked it is now: what is served grows late all the same.
    """
    try:
        end = archive_end(open_source().days(), now.date())
    except RecsysError:
        return now
    return now if end is None else min(now, datetime.combine(end, time(), UTC))
