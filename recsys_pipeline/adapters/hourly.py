"""Hour files: taken in as they come, filled up after an outage, taken in again where events came late.

Hours hold events by event time, so windows are disjoint and each event counts once, by construction. What comes late
makes a new version of its own hour, and overlays made after that hold it. Late events of hours before a release's end
are the batch's: it starts at 03:15, when the hours of its day have been open for longer than `late_hours`, and takes
in later ones itself.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from recsys_pipeline.adapters.late_rows import is_stale
from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.period_files import read_periods
from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.types import HOUR, HOUR_KEY, Window

KEY = "speed/interactions"
LATE_HOURS = 3


@dataclass(frozen=True)
class IngestedHours:
    """What became of an hour and of the hours before it."""

    artifacts: list[Artifact]
    """Hours that were read, in order, and at the end the hour that was asked for, read or up to date."""
    failed: dict[str, str]
    """Earlier hours that could not be read, with the reason; they are tried again with every later hour."""


def ingest_hours(
    store: ArtifactStore,
    source: Source,
    hour: Window,
    since: datetime,
    recipe_of: Callable[[Window], Recipe],
    *,
    late_hours: int = LATE_HOURS,
    max_quarantine_share: float,
    run_id: str = "",
    recompute: bool = False,
) -> IngestedHours:
    """Ingest `hour` unless it is up to date, every hour from `since` on that is missing, and late events before it.

    Of the last `late_hours` hours those of which the source says another thing now are read again and become new
    versions. Each range of hours is read as one stream; where that fails, hour by hour, so that a bad hour keeps no
    other out. Raises what reading `hour` itself raises.
    """

    def read(window: Window) -> list[Artifact]:
        return read_periods(
            store, source, window, HOUR, recipe_of, max_quarantine_share=max_quarantine_share, run_id=run_id
        )

    existing = None if recompute else store.reusable(recipe_of(hour))
    own = [existing] if existing else read(hour)  # first: where it fails, nothing is written
    late_from = hour.start - late_hours * HOUR
    earlier: list[Artifact] = []
    failed: dict[str, str] = {}
    for window in _ranges(_wanted(store, hour, since, late_from, recipe_of)):
        some, bad = _read_what_can_be(read, window)
        earlier, failed = [*earlier, *some], {**failed, **bad}
    return IngestedHours([*earlier, *own], failed)


def hour_files(store: ArtifactStore, window: Window) -> tuple[list[Artifact], list[str]]:
    """The current hour files of a window, in order, and the hours of which there is none."""
    found = {start: store.current(KEY, start.strftime(HOUR_KEY)) for start in window.periods(HOUR)}
    absent = [start.strftime(HOUR_KEY) for start, artifact in found.items() if artifact is None]
    return [artifact for artifact in found.values() if artifact is not None], absent


def _wanted(
    store: ArtifactStore, hour: Window, since: datetime, late_from: datetime, recipe_of: Callable[[Window], Recipe]
) -> Iterator[Window]:
    """Hours before `hour` that are missing from `since` on, or stale from `late_from` on."""
    for start in Window(min(since, late_from, hour.start), hour.start).periods(HOUR):
        window = Window.of_hour(start)
        if store.current_version(KEY, start.strftime(HOUR_KEY)) is None:
            if start >= since:
                yield window
        elif start >= late_from and is_stale(store, recipe_of(window)):
            yield window


def _ranges(hours: Iterable[Window]) -> list[Window]:
    """Windows of consecutive hours as one."""
    joined: list[Window] = []
    for window in hours:
        if joined and joined[-1].end == window.start:
            joined[-1] = Window(joined[-1].start, window.end)
        else:
            joined.append(window)
    return joined


def _read_what_can_be(
    read: Callable[[Window], list[Artifact]], window: Window
) -> tuple[list[Artifact], dict[str, str]]:
    """A range as one stream, and where that fails its hours one by one."""
    try:
        return read(window), {}
    except (SourceError, DataError) as error:
        hours = [Window.of_hour(start) for start in window.periods(HOUR)]
        if len(hours) == 1:
            return [], {window.start.strftime(HOUR_KEY): str(error)}
    parts = [_read_what_can_be(read, hour) for hour in hours]
    return [made for some, _ in parts for made in some], {key: why for _, bad in parts for key, why in bad.items()}
