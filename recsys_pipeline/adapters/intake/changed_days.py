"""Closed days of which files now say something else: suspected by their sizes and times, and sure by their rows.

What did not change costs no reading. A file whose time alone changed is read and found to be the same; of one that
grows every day the closed days are read once with each run, and only counted and summed.
"""

import logging
from collections.abc import Mapping
from datetime import date

from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.intake.period_files import SOURCE_MARK, WITHOUT_TIME, joined
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.days import DayMark, day_marks
from recsys_pipeline.core.dataset.sources import FingerprintsDays, Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import DAY, Window

logger = logging.getLogger(__name__)


def changed_days(store: ArtifactStore, source: Source, closed: Window) -> dict[date, int]:
    """By how many rows (0: as many, but others) each closed day differs from what was read."""
    if not isinstance(source, FingerprintsDays):
        return {}
    names = set(store.partitions(KEY))
    read = {day: store.get(KEY, day.isoformat()).manifest for day in closed.days() if day.isoformat() in names}
    now = source.fingerprints(closed)
    suspects = [day for day in read if day in now and read[day].recipe.config.get(SOURCE) != now[day]]
    found: dict[date, int] = {}
    for window in joined(Window.of_day(day) for day in suspects):
        for day, mark in _marks(source, window).items():
            rows, told = _as_read(read[day].metrics)
            if mark.rows != rows or (told and mark.digest != told):
                found[day] = mark.rows - rows
    return found


def _marks(source: Source, window: Window) -> dict[date, DayMark]:
    """Of days that cannot be read now nothing is known: they keep what they have, and that is said."""
    days = list(window.days())
    try:
        return day_marks(source.interactions(window), window)
    except SourceError as error:
        if len(days) == 1:
            logger.warning("%s is closed, its file changed, and it cannot be read now: %s", days[0], error)
            return {}
    middle = days[len(days) // 2]
    return _marks(source, Window.of_days(days[0], middle - DAY)) | _marks(source, Window.of_days(middle, days[-1]))


def _as_read(metrics: Mapping[str, int | str]) -> tuple[int, str]:
    """Rows that the source gave for a day, and their mark; days of earlier versions have none."""
    counts = [int(metrics.get(name, 0)) for name in ("rows", "quarantined", "repeats")]
    return sum(counts) - int(metrics.get(WITHOUT_TIME, 0)), str(metrics.get(SOURCE_MARK, ""))
