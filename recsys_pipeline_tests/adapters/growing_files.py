"""Files of events that grow, are mended and break, and what the store holds of them after each batch."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import Ingested, ingest
from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.file_fixtures import DAY, EPOCH_S, source_over, write_lines

DAY_S = 86_400


def line(name: str, day: int, second: int = 0, bad: str = "") -> str:
    """One event, told apart by its item; `bad` stands in place of its time (`time`) or its value (`value`)."""
    time, value = str(EPOCH_S + day * DAY_S + second), "1"
    return f"u::{name}::{bad if bad == 'value' else value}::{'soon' if bad == 'time' else time}"


@dataclass
class Feed:
    """A folder with files of one layout, and the store that takes them in."""

    root: Path
    layout: str = "file"
    max_share: float = 0.01
    more: dict = field(default_factory=dict)

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(str(self.root / "store"), self.root / "cache")

    def put(self, lines: list[str], day: int = 0) -> None:
        """Write the file (of that day, or release)."""
        name = "ratings.dat" if self.layout == "file" else f"feed/{DAY + timedelta(days=day)}.dat"
        write_lines(self.root / name, lines)

    def open(self) -> FilesSource:
        path = "ratings.dat" if self.layout == "file" else "feed/*.dat"
        return source_over(self.root, path=path, layout=self.layout, **self.more)

    def batch(self, day: int, late_days: int = 2) -> Ingested:
        source = self.open()

        def recipe_of(one: date) -> Recipe:
            return Recipe(KEY, one.isoformat(), (), {"source": source.fingerprint(Window.of_day(one))}, "v1", {})

        return ingest(
            self.store, source, DAY + timedelta(days=day), recipe_of, max_quarantine_share=self.max_share,
            late_days=late_days,
        )  # fmt: skip

    def held(self) -> Counter[str]:
        """The items of all rows in day files and in quarantines."""
        found: Counter[str] = Counter()
        for name in self.store.partitions(KEY):
            folder = self.store.get(KEY, name).path
            found.update(pq.read_table(folder / "interactions.parquet").column("item_id").to_pylist())
            raw = pq.read_table(folder / "quarantine.parquet").column("raw").to_pylist()
            found.update(json.loads(text)["item_id"] for text in raw)
        return found

    def quarantined(self) -> dict[str, int]:
        """Days with rows in quarantine."""
        metrics = {name: self.store.get(KEY, name).manifest.metrics for name in self.store.partitions(KEY)}
        return {name: found["quarantined"] for name, found in metrics.items() if found["quarantined"]}
