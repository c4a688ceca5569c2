"""What of the history is not there: days that cannot be read or have not come, about how many rows, and why.

Models learn from the days that are there, whatever their number; so what is missing is said where people look: in the
run's last line, `recsys status`, the metadata of `dataset/interactions`, and an alert. The newest finding stands in a
file below the runtime root until a run finds that nothing is missing.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from recsys_pipeline.adapters.intake.ingestion import Ingested
from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.intake.period_files import rows_given
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.time import Window

MAX_MISSING_SHARE = 0.1
SHOWN = 5


@dataclass(frozen=True)
class MissingHistory:
    """What is missing of the days up to one."""

    day: str
    unread: dict[str, str]
    """Days that the source has and that cannot be read, and why not."""
    absent: list[str]
    """Days that the source does not have yet."""
    rows: int
    """About how many rows the unread days have: counted where they could be, else as many as the other days' mean."""
    days_of_all: int
    rows_of_all: int
    """Days and rows (missing ones included) of the whole history."""

    def __bool__(self) -> bool:
        return bool(self.unread or self.absent)

    @property
    def share(self) -> float:
        """Share of the history that cannot be read: of its days or of its rows, whichever is larger."""
        return max(len(self.unread) / self.days_of_all, self.rows / max(self.rows_of_all, 1))

    def is_too_much(self, max_share: float) -> bool:
        """Whether models of the rest would be of another history; one bad day alone stops nothing."""
        return len(self.unread) > 1 and self.share > max_share

    def told(self) -> str:
        """How much is missing, which days, why, and the way out; in one paragraph."""
        missing = sorted([*self.unread, *self.absent])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        rows = f"~{self.rows:,} rows, {self.rows / max(self.rows_of_all, 1):.1%} of all"
        days = f"{', '.join(missing[:SHOWN])}{more}"
        parts = [f"{len(missing)} of {self.days_of_all} days up to {self.day} are missing ({rows}): {days}"]
        if self.unread:
            day, why = next(iter(self.unread.items()))
            parts.append(f"{len(self.unread)} cannot be read ({day}: {why})")
        if self.absent:
            parts.append(
                f"{len(self.absent)} have no file ({self.absent[0]}): give a day without events a file without rows"
            )
        return "; ".join(parts) + ". Every later run tries them again"


def missing_history(store: ArtifactStore, days: DayRange, day: date, found: Ingested) -> MissingHistory:
    """What is not stored of the days up to `day`, after they were taken in."""
    names = set(store.partitions(KEY))
    asked = list(Window.of_days(min(days.first, day), day).days())
    missing = [one for one in asked if one.isoformat() not in names]
    absent = [one for one in missing if one in days.absent]
    unread = {one: found.failed.get(one, "never read") for one in missing if one not in days.absent}
    if not missing:
        return MissingHistory(day.isoformat(), {}, [], 0, len(asked), 0)
    stored = [_rows(store, one) for one in asked if one.isoformat() in names]
    usual = round(sum(stored) / len(stored)) if stored else 0
    rows = sum(found.rows_failed.get(one, usual) for one in unread)
    texts = {one.isoformat(): why for one, why in unread.items()}
    return MissingHistory(
        day.isoformat(), texts, [one.isoformat() for one in absent], rows, len(asked), rows + sum(stored)
    )


def _rows(store: ArtifactStore, day: date) -> int:
    return rows_given(store.get(KEY, day.isoformat()).manifest.metrics)


class MissingFile:
    """The newest finding of a source, below the runtime root."""

    def __init__(self, home: Path, source: str) -> None:
        self.path = home / "missing" / f"{source}.json"

    def read(self) -> MissingHistory | None:
        """None where nothing is missing, or nothing is known."""
        try:
            return MissingHistory(**json.loads(self.path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # a file that was cut off is written anew by the next run
            return None

    def write(self, found: MissingHistory) -> bool:
        """Keep what is missing, or that nothing is; returns whether other days are missing than were before."""
        before = self.read()
        if not found:
            self.path.unlink(missing_ok=True)
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(asdict(found)), encoding="utf-8")
        return before is None or set(before.unread) | set(before.absent) != set(found.unread) | set(found.absent)
