"""Lone far days: a row of 1970 among those of this year is a mistake, and no fifty years of empty days.

Rows lie far where a gap of months parts them from the rest, and alone where they are few: on three days at most between
two gaps, and 1% of all rows or, of small tables, up to three rows in sixty. Their times are not used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from recsys_pipeline.core.errors import SourceError

MAX_GAP_DAYS = 90
MAX_PAUSE_DAYS = 1_000
"""A longer pause, with more rows on both sides than a mistake has, is asked about."""
LONE_DAYS = 3
WAY_OUT = "check interactions.time_unit and the times; if they are right, set interactions.max_gap_days above the gap"


@dataclass(frozen=True)
class Body:
    """The days of a history without lone far ones."""

    first: date
    last: date
    far: Mapping[date, int]
    """Lone far days, with their rows."""

    @property
    def before(self) -> bool:
        """Whether lone days lie before the first."""
        return any(day < self.first for day in self.far)

    @property
    def after(self) -> bool:
        """Whether lone days lie after the last."""
        return any(day > self.last for day in self.far)

    def told(self) -> str:
        """The lone days in words; empty where there are none."""
        if not self.far:
            return ""
        rows, days = sum(self.far.values()), ", ".join(day.isoformat() for day in sorted(self.far)[:3])
        more = f" and {len(self.far) - 3} days more" if len(self.far) > 3 else ""
        return (
            f"{rows} rows of {days}{more} lie months away from all others ({self.first} to {self.last}): they are put "
            f"aside; {WAY_OUT}"
        )


def body_of(rows: Mapping[date, int], max_gap_days: int = MAX_GAP_DAYS, has_first_day: bool = False) -> Body:
    """The body of a history, from its number of rows by day (one at least).

    With `has_first_day` its begin was declared, and what comes first is taken as it is, pauses too. Else raises
    `SourceError` where two parts, neither of them lone, lie more than `MAX_PAUSE_DAYS` and `max_gap_days` apart.
    """
    days, total = sorted(rows.items()), sum(rows.values())
    start = 0 if has_first_day else lone_rows(days, total, max_gap_days)
    end = len(days) - lone_rows(days[::-1], total, max_gap_days)
    kept = days[start:end]
    for (before, _), (after, _) in () if has_first_day else pairwise(kept):
        refuse_pause(before, after, max_gap_days)
    return Body(kept[0][0], kept[-1][0], dict(days[:start] + days[end:]))


def lone_rows(days: Sequence[tuple[date, int]], total: int, max_gap_days: int) -> int:
    """How many of the days at the begin of this list (date and rows, from one end of a history) lie far and alone."""
    limit, seen, stretch, lone = max(total / 100, min(3.0, total / 20)), 0, 0, 0
    for at, ((day, count), (following, _)) in enumerate(pairwise(days), 1):
        seen, stretch = seen + count, stretch + 1
        if seen > limit or stretch > LONE_DAYS:
            break
        if abs((following - day).days) > max_gap_days:
            lone, stretch = at, 0
    return lone


def refuse_pause(before: date, after: date, max_gap_days: int) -> None:
    """Raise `SourceError` where nobody has been for years between two days."""
    gap = (after - before).days
    if gap > max(MAX_PAUSE_DAYS, max_gap_days):
        raise SourceError(f"there is no row in the {gap} days between {before} and {after}: {WAY_OUT}")
