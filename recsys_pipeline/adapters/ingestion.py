"""From a source to committed day files: one artifact per day, and all earlier days that were never ingested."""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from recsys_pipeline.adapters.manifest import Recipe
from recsys_pipeline.adapters.store import Artifact, ArtifactStore, Built
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE, DayFile, write_days
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.types import Window

KEY = "dataset/interactions"


def ingest(
    store: ArtifactStore,
    source: Source,
    day: date,
    recipe_of: Callable[[date], Recipe],
    *,
    max_quarantine_share: float,
    run_id: str = "",
    recompute: bool = False,
) -> list[Artifact]:
    """Ingest `day` unless it is up to date, and every earlier day that is missing; the last artifact is that of `day`.

    A closed day that was ingested before is left alone, whatever the source says about it now: materialize its
    own partition to take in late events. Each range of missing days is read from the source as one stream.
    """
    existing = None if recompute else store.reusable(recipe_of(day))
    have = set(store.partitions(KEY))
    earlier = Window.of_days(min(source.days().first, day), day).days()
    wanted = [d for d in earlier if (existing is None if d == day else d.isoformat() not in have)]
    made: list[Artifact] = []
    for first, last in _ranges(wanted):
        made += _ingest_range(store, source, Window.of_days(first, last), recipe_of, max_quarantine_share, run_id)
    return made if existing is None else [*made, existing]


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


def open_snapshot(store: ArtifactStore, artifact: Artifact) -> Snapshot:
    """The snapshot in an artifact; a remote store's files that this disk lacks are fetched first."""
    if not store.is_local:
        for path in Snapshot.files(artifact.path, store.local_root):
            if not (store.local_root / path).is_file():
                store.fetch(path)
    return Snapshot.load(artifact.path, store.local_root)


def _ranges(days: list[date]) -> Iterator[tuple[date, date]]:
    start = 0
    for i in range(1, len(days) + 1):
        if i == len(days) or days[i] - days[i - 1] > timedelta(days=1):
            yield days[start], days[i - 1]
            start = i


def _ingest_range(
    store: ArtifactStore,
    source: Source,
    window: Window,
    recipe_of: Callable[[date], Recipe],
    max_quarantine_share: float,
    run_id: str,
) -> list[Artifact]:
    started = time.monotonic()
    # Taken before the source is read: what changes in it meanwhile must make these days stale, not up to date.
    recipes = {day: recipe_of(day) for day in window.days()}
    with store.staged() as staged:
        stream = source.interactions(window)
        days = write_days(stream, window, staged, max_quarantine_share=max_quarantine_share)
        seconds = (time.monotonic() - started) / len(days)
        return [
            store.commit(
                staged / day.day.isoformat(), recipes[day.day], _built(day, staged), seconds=seconds, run_id=run_id
            )
            for day in days
        ]


def _built(day: DayFile, staged: Path) -> Built:
    events = pq.read_table(staged / day.path, columns=["event"]).column("event").value_counts().to_pylist()
    counts = {f"event {row['values']}": row["counts"] for row in sorted(events, key=lambda row: row["values"])}
    return Built({"rows": day.rows, "quarantined": day.quarantined, **counts}, digest=day.digest)
