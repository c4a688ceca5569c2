"""From a source to committed day files: one artifact per day, and all earlier days that were never ingested."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from recsys_pipeline.adapters.intake.changed_days import changed_days
from recsys_pipeline.adapters.intake.late_rows import KEY, LATE_DAYS, is_stale, rows_too_late
from recsys_pipeline.adapters.intake.meaning_of_days import refuse_other_meaning, stored_days
from recsys_pipeline.adapters.intake.pace import paced
from recsys_pipeline.adapters.intake.period_files import (
    NOTHING,
    Taken,
    joined,
    read_periods,
    read_what_can_be,
    stored_undated,
)
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.time import DAY, Window

__all__ = ["KEY", "Ingested", "day_entries", "ingest", "open_snapshot"]


@dataclass(frozen=True)
class Ingested:
    """What became of a day and of the days before it."""

    artifacts: list[Artifact]
    """Days that were read, in order, and at the end the day that was asked for, read or up to date."""
    failed: dict[date, str]
    """Earlier days that could not be read, with the reason; they are tried again with every later day."""
    rows_failed: dict[date, int]
    """How many rows those of them have that could be read."""
    too_late: dict[date, int]
    """Closed days of which the source now has more rows (below 0: fewer; 0: as many, but others) than were read, and
    which stay closed."""


def ingest(
    store: ArtifactStore,
    source: Source,
    day: date,
    recipe_of: Callable[[date], Recipe],
    *,
    max_quarantine_share: float,
    late_days: int = LATE_DAYS,
    run_id: str = "",
    recompute: bool = False,
    reread_from: date | None = None,
    say: Callable[[str], object] = lambda _: None,
    origins: Mapping[str, str] | None = None,
) -> Ingested:
    """Ingest `day` unless it is up to date, every earlier day that is missing, and late rows of the days just before.

    Of the last `late_days` days before `day` those whose fingerprint changed are read again and become new versions.
    Days before them are closed: what the source says of them now is only counted, where it can count. Each range of
    days is read as one stream; where that fails, day by day as far as needed, so that a bad day keeps no other out.
    With `reread_from` every day from there on is read, closed or not. Before it reads several days it says which, and
    every few seconds how far it is. `origins` say where the values of the recipes' config are from.

    Raises `SourceError` for a day that the source does not have yet, and where an earlier day that stays as it is was
    read when the source meant something else; and what reading `day` itself raises.
    """
    days = source.days()
    if days.last is not None and day > days.last:
        raise SourceError(f"{source.name} has data up to {days.last}: {day} has not arrived; run it when it has")
    again_from = min(reread_from or day, day)
    refuse_other_meaning(source, stored_days(store, date.min, again_from - timedelta(days=1)))
    existing = None if recompute or reread_from else store.reusable(recipe_of(day))
    open_from = day - timedelta(days=late_days)
    earlier = _wanted(store, Window.of_days(min(days.first, day), day - DAY), open_from, again_from, recipe_of)
    wanted = [*earlier, *([day] if existing is None else [])]
    undated = stored_undated(store, KEY)

    def read(window: Window, needed: Window | None = None) -> Taken:
        return read_periods(
            store, source, window, DAY, lambda one: recipe_of(one.start.date()),
            max_quarantine_share=max_quarantine_share, undated=undated, needed=needed, run_id=run_id,
            origins=origins, progress=paced(say),
        )  # fmt: skip

    ranges = joined(Window.of_day(d) for d in wanted)
    if len(wanted) > 1:
        say(f"  reading {len(wanted)} days, {wanted[0]} to {wanted[-1]}")
    # That of `day` first: where it fails, nothing is written.
    newest = Taken([existing], {}, {}) if existing else _read_with_its_day(read, ranges.pop(), Window.of_day(day))
    found = sum((read_what_can_be(read, window, DAY) for window in ranges), NOTHING) + newest
    first = min(days.first, day)
    closed = Window.of_days(first, max(first, min(open_from, again_from)) - timedelta(days=1))
    failed = {start.date(): why for start, why in found.failed.items()}
    rows_failed = {start.date(): rows for start, rows in found.rows_failed.items()}
    changed = rows_too_late(store, source, closed) | changed_days(store, source, closed)
    return Ingested(found.artifacts, failed, rows_failed, changed)


def _wanted(
    store: ArtifactStore, earlier: Window, open_from: date, again_from: date, recipe_of: Callable[[date], Recipe]
) -> list[date]:
    """Earlier days that are missing, those from `again_from` on, and from `open_from` on those that are stale."""
    have = {name for name in store.partitions(KEY) if store.is_there(KEY, name)}
    return [
        one
        for one in earlier.days()
        if one.isoformat() not in have or one >= again_from or (one >= open_from and is_stale(store, recipe_of(one)))
    ]


def _read_with_its_day(read: Callable[..., Taken], window: Window, own: Window) -> Taken:
    """Read the window that ends with the `own` day as one stream, and where that fails the day itself before others.

    Without it the others are of no use, and its error is raised.
    """
    try:
        return read(window, own)
    except (SourceError, DataError):
        if window == own:
            raise
    last = read(own, own)
    return read_what_can_be(read, Window(window.start, own.start), DAY) + last


def day_entries(store: ArtifactStore, last: date) -> tuple[list[Artifact], list[DayEntry]]:
    """All current day files up to `last`, as artifacts and as entries of a snapshot."""
    artifacts = [store.get(KEY, name) for name in store.partitions(KEY) if name <= last.isoformat()]
    entries = [
        DayEntry(
            day=artifact.manifest.recipe.partition,
            path=(artifact.path / INTERACTIONS_FILE).relative_to(store.local_root).as_posix(),
            digest=artifact.manifest.digest,
            rows=artifact.manifest.metrics["rows"],
        )
        for artifact in artifacts
    ]
    return artifacts, entries


def open_snapshot(store: ArtifactStore, artifact: Artifact, events: bool = False) -> Snapshot:
    """The snapshot in an artifact, for those who read its ids, and with `events` for those who read its days too.

    What they will read is compared with its digest, and fetched first where it lies on a remote store and not on this
    disk; raises `ArtifactError` naming a file that is gone or damaged. Without `events` a day file may be gone: the
    next snapshot lists what was made in its place.
    """
    artifact.verify(anew=False)
    snapshot = Snapshot.load(artifact.path, store.local_root)
    for folder in [*snapshot.id_folders, *(snapshot.day_folders if events else ())]:
        key, partition, version = folder.rsplit("/", 2)
        store.listed(key, partition, version).verify(anew=False)
    return snapshot
