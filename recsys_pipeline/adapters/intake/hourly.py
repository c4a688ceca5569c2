"""Hour files: taken in as they come, filled up after an outage, taken in again where events came late.

Hours hold events by event time, so windows are disjoint and each event counts once, by construction. What comes late
makes a new version of its own hour, and overlays made after that hold it. Late events of hours before a release's end
are the batch's: it starts at 03:15, when the hours of its day have been open for longer than `late_hours`, and takes
in later ones itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from recsys_pipeline.adapters.intake.late_rows import is_stale
from recsys_pipeline.adapters.intake.meaning_of_days import MEANING
from recsys_pipeline.adapters.intake.period_files import NOTHING, Taken, joined, read_periods, read_what_can_be
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.dataset.undated import Undated
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import HOUR, HOUR_KEY, Window

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
    origins: Mapping[str, str] | None = None,
) -> IngestedHours:
    """Ingest `hour` unless it is up to date, every hour from `since` on that is missing, and late events before it.

    Of the last `late_hours` hours those of which the source says another thing now are read again and become new
    versions. Each range of hours is read as one stream; where that fails, its halves, so that a bad hour keeps no
    other out. Raises `SourceError` for an hour that the source does not have yet, since an empty file in its place
    would hide what comes, and what reading `hour` itself raises.
    """
    last = source.days().last
    if last is not None and hour.start.date() > last:
        raise SourceError(f"{source.name} has data up to {last}: {hour.start:{HOUR_KEY}} has not arrived")

    def read(window: Window) -> Taken:
        return read_periods(
            store, source, window, HOUR, recipe_of, max_quarantine_share=max_quarantine_share,
            undated=Undated(are_taken=False), needed=hour, run_id=run_id,
            origins=origins,
        )  # fmt: skip

    existing = None if recompute else store.reusable(recipe_of(hour))
    own = [existing] if existing else read(hour).artifacts  # first: where it fails, nothing is written
    late_from = hour.start - late_hours * HOUR
    ranges = joined(_wanted(store, hour, since, late_from, recipe_of))
    earlier = sum((read_what_can_be(read, window, HOUR) for window in ranges), NOTHING)
    failed = {f"{start:{HOUR_KEY}}": why for start, why in earlier.failed.items()}
    return IngestedHours([*earlier.artifacts, *own], failed)


def hour_files(store: ArtifactStore, window: Window) -> tuple[list[Artifact], list[str]]:
    """The current hour files of a window, in order, and the hours of which there is none."""
    found = {start: store.current(KEY, start.strftime(HOUR_KEY)) for start in window.periods(HOUR)}
    absent = [start.strftime(HOUR_KEY) for start, artifact in found.items() if artifact is None]
    return [artifact for artifact in found.values() if artifact is not None], absent


def _wanted(
    store: ArtifactStore, hour: Window, since: datetime, late_from: datetime, recipe_of: Callable[[Window], Recipe]
) -> Iterator[Window]:
    """Hours before `hour` that are missing or of another meaning from `since` on, or stale from `late_from` on."""
    for start in Window(min(since, late_from, hour.start), hour.start).periods(HOUR):
        window = Window.of_hour(start)
        is_lacking = not store.is_there(KEY, f"{start:{HOUR_KEY}}") or _means_other(store, recipe_of(window))
        if (start >= since and is_lacking) or (start >= late_from and is_stale(store, recipe_of(window))):
            yield window


def _means_other(store: ArtifactStore, recipe: Recipe) -> bool:
    """Whether an hour was read when the source meant something else than it does now."""
    current = store.current(recipe.key, recipe.partition)
    return current is not None and current.manifest.recipe.config.get(MEANING) != recipe.config.get(MEANING)
