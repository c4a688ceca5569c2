"""A source whose rows arrive day by day, late or in time, and the batches that take them in."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys_pipeline.adapters.intake.ingestion import Ingested, day_entries, ingest, open_snapshot
from recsys_pipeline.adapters.intake.late_rows import KEY, LATE_DAYS
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.snapshots import Snapshot, write_snapshot
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange, Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.sql_fixtures import DAY, at

Event = tuple[int, int]
"""Hour since the first midnight, and the number of the user."""


class Arriving(Source):
    """Events become visible with the batch of the day that `arrives` gives them; bad days cannot be read."""

    name = "arriving"
    provides = frozenset({"interactions"})

    @property
    def meaning(self) -> SourceMeaning:
        return SourceMeaning(WEB_LOG)

    def __init__(self, arrives: dict[Event, int]) -> None:
        self.arrives = arrives
        self.today = 0
        self.event = "click"
        self.bad: set[date] = set()
        self.last: date | None = None
        self.read: list[tuple[date, date]] = []
        self.while_read: Callable[[], None] = lambda: None

    def _visible(self, window: Window) -> list[Event]:
        return sorted(
            e for e, day in self.arrives.items() if day <= self.today and window.start <= at(e[0]) < window.end
        )

    def days(self) -> DayRange:
        return DayRange(DAY, self.last)

    def count(self, window: Window) -> int:
        return len(self._visible(window))

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return f"{table} {self._visible(window)}"

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        days = list(window.days())
        self.read.append((days[0], days[-1]))
        self.while_read()
        for day in days:
            if day in self.bad:
                raise SourceError(f"{day} is broken")
        rows = [
            {"user_id": f"u{user}", "item_id": f"i{hour % 3}", "event": self.event, "value": 1.0, "timestamp": at(hour)}
            for hour, user in self._visible(window)
        ]
        return pa.Table.from_pylist(rows, schema=INTERACTIONS).to_reader()

    def items(self, as_of: datetime) -> pa.Table:
        raise SourceError(f"no items as of {as_of}")

    def looks(self, as_of: datetime) -> pa.Table:
        raise SourceError(f"no looks as of {as_of}")

    def image(self, reference: str) -> bytes:
        raise SourceError(f"no image {reference}")


def a_row_a_day(days: int) -> Arriving:
    """A source with one row at the first moment of each day, all of them there from the start."""
    return Arriving({(24 * number, number): 0 for number in range(days)})


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def recipe_of(source: Source, code: str = "v1") -> Callable[[date], Recipe]:
    return lambda of: Recipe(KEY, of.isoformat(), (), {"source": source.fingerprint(Window.of_day(of))}, code, {})


def take_in(
    store: ArtifactStore, source: Source, number: int, late_days: int = LATE_DAYS, code: str = "v1", **options: Any
) -> Ingested:
    """The ingestion of a day's batch."""
    options = {"max_quarantine_share": 0.0, "late_days": late_days, **options}
    return ingest(store, source, day(number), recipe_of(source, code), **options)


def batch(store: ArtifactStore, source: Source, number: int, late_days: int = LATE_DAYS) -> Ingested:
    """The ingestion of a day's batch, and its snapshot."""
    found = take_in(store, source, number, late_days)
    write_day(store, number)
    return found


def write_day(store: ArtifactStore, number: int) -> Artifact:
    """The snapshot of a day, over all day files up to it."""
    earlier = store.latest("dataset/snapshot", before=day(number).isoformat())
    previous = open_snapshot(store, earlier) if earlier else None
    files, entries = day_entries(store, day(number))
    inputs = tuple(artifact.manifest.ref for artifact in files)

    def build(directory: Path) -> Built:
        return Built({}, write_snapshot(directory, store.local_root, entries, previous).digest)

    return store.build(Recipe("dataset/snapshot", day(number).isoformat(), inputs, {}, "v1", {}), build)


def days_read(found: Ingested) -> list[str]:
    """The days that were read."""
    return [artifact.manifest.recipe.partition for artifact in found.artifacts if not artifact.reused]


def snapshot(store: ArtifactStore, number: int) -> Snapshot:
    return open_snapshot(store, store.get("dataset/snapshot", day(number).isoformat()))
