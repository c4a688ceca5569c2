"""From a source to committed day files: one artifact per day, and all earlier days that were never ingested."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from recsys_pipeline.adapters.late_rows import KEY, LATE_DAYS, day_ranges, is_stale, rows_too_late
from recsys_pipeline.adapters.manifest import MANIFEST_NAME, Manifest, Recipe
from recsys_pipeline.adapters.period_files import read_periods
from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.types import DAY, Window

__all__ = ["KEY", "Ingested", "day_entries", "ingest", "open_snapshot"]


@dataclass(frozen=True)
class Ingested:
    """What became of a day and of the days before it."""

    artifacts: list[Artifact]
    """Days that were read, in order, and at the end the day that was asked for, read or up to date."""
    failed: dict[date, str]
    """Earlier days that could not be read, with the reason; they are tried again with every later day."""
    too_late: dict[date, int]
    """Closed days of which the source now has more rows (or, below 0, fewer) than were read, and which stay closed."""


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
) -> Ingested:
    """Ingest `day` unless it is up to date, every earlier day that is missing, and late rows of the days just before.

    Of the last `late_days` days before `day` those whose fingerprint changed are read again and become new versions.
    Days before them are closed: what the source says of them now is only counted, where it can count. Each range of
    days is read as one stream; where that fails, day by day as far as needed, so that a bad day keeps no other out.

    Raises `SourceError` for a day that the source does not have yet, and what reading `day` itself raises.
    """
    days = source.days()
    if days.last is not None and day > days.last:
        raise SourceError(f"{source.name} has data up to {days.last}: {day} has not arrived; run it when it has")
    existing = None if recompute else store.reusable(recipe_of(day))
    have, open_from = set(store.partitions(KEY)), day - timedelta(days=late_days)
    wanted = [
        d
        for d in Window.of_days(min(days.first, day), day).days()
        if (
            existing is None
            if d == day
            else d.isoformat() not in have or (d >= open_from and is_stale(store, recipe_of(d)))
        )
    ]

    def read(window: Window) -> list[Artifact]:
        return read_periods(
            store, source, window, DAY, lambda one: recipe_of(one.start.date()),
            max_quarantine_share=max_quarantine_share, run_id=run_id,
        )  # fmt: skip

    made: list[Artifact] = []
    failed: dict[date, str] = {}
    for first, last in reversed(list(day_ranges(wanted))):  # that of `day` first: where it fails, nothing is written
        some, bad = _read_what_can_be(read, first, last, day)
        made, failed = [*some, *made], {**bad, **failed}
    closed = Window.of_days(min(days.first, day), max(min(days.first, day), open_from) - timedelta(days=1))
    return Ingested(made if existing is None else [*made, existing], failed, rows_too_late(store, source, closed))


def _read_what_can_be(
    read: Callable[[Window], list[Artifact]], first: date, last: date, needed: date
) -> tuple[list[Artifact], dict[date, str]]:
    """Read a range as one stream, and where that fails its halves: k bad days of n cost O(k log n) streams.

    The `needed` day is tried by itself before that: without it the others are of no use, and its error is raised.
    """
    try:
        return read(Window.of_days(first, last)), {}
    except (SourceError, DataError) as error:
        if first == last == needed:
            raise
        if first == last:
            return [], {first: str(error)}
    cut = last if last == needed else first + (last - first) // 2 + timedelta(days=1)
    late = _read_what_can_be(read, cut, last, needed)
    early = _read_what_can_be(read, first, cut - timedelta(days=1), needed)
    return [*early[0], *late[0]], {**early[1], **late[1]}


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


def open_snapshot(store: ArtifactStore, artifact: Artifact, verify: bool = False) -> Snapshot:
    """The snapshot in an artifact; a remote store's files that this disk lacks are fetched first.

    With `verify` every day file that it lists is compared with its digest, for those who will read them all; raises
    `ArtifactError` naming a damaged one.
    """
    if not store.is_local:
        for path in Snapshot.files(artifact.path, store.local_root):
            if not (store.local_root / path).is_file():
                store.fetch(path)
    snapshot = Snapshot.load(artifact.path, store.local_root)
    for entry in snapshot.days if verify else ():
        folder = (store.local_root / entry.path).parent
        Artifact(folder, Manifest.read(folder / MANIFEST_NAME)).verify(anew=False)
    return snapshot
