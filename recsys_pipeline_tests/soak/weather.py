"""What lies between the shop and its pipeline: rows that come late, an outage, a bot."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window, microseconds
from recsys_pipeline_tests.misbehaving_sources import Misbehaving, event

LATE_EVERY = 11
"""One event in so many comes late: those whose microsecond is a multiple of it."""
LATE_BY = timedelta(minutes=150)
BOT_EVENTS = 3_000


class Sky:
    """The state of the weather, in a file, so that processes that are about to be killed see it too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, **changes: Any) -> None:
        """Change some of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({**self.get(), **changes}))
        fresh.replace(self.path)

    def get(self) -> dict[str, Any]:
        """`now` (ISO), `down` (whether the source is away), `bot_day` (ISO, or empty)."""
        fair = {"now": "2100-01-01T00:00:00+00:00", "down": False, "bot_day": ""}
        return fair | json.loads(self.path.read_text()) if self.path.exists() else fair


class Weather(Misbehaving):
    """A source as it is seen at the moment that the sky's clock shows."""

    def __init__(self, source: Source, sky: Sky) -> None:
        super().__init__(source)
        self.sky = sky

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """What has arrived of the window; raises `SourceError` in an outage."""
        if self.sky.get()["down"]:
            raise SourceError("the shop's database does not answer")
        return pa.RecordBatchReader.from_batches(INTERACTIONS, self._arrived(window))

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        """Changes hour by hour while rows of the window may still come."""
        state = self.sky.get()
        now = datetime.fromisoformat(state["now"])
        coming = "" if now >= window.end + LATE_BY else f"{now:%F %H}"
        return f"{self.source.fingerprint(window, table)} {state['bot_day']} {coming}"

    def _arrived(self, window: Window) -> Iterator[pa.RecordBatch]:
        state = self.sky.get()
        known_us = microseconds(datetime.fromisoformat(state["now"]) - LATE_BY)
        for batch in self.source.interactions(window):
            moments = np.asarray(batch.column("timestamp").cast(pa.int64()))
            here = (moments % LATE_EVERY != 0) | (moments < known_us)
            yield batch.filter(pa.array(here))
        if state["bot_day"]:
            yield from bot_events(state["bot_day"], window, self.source)


def bot_events(day: str, window: Window, source: Source) -> Iterator[pa.RecordBatch]:
    """One user who gives every item full marks, over and over, all day."""
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    items = source.items(start).column("item_id").to_pylist()
    moments = [start + timedelta(days=number / BOT_EVENTS) for number in range(BOT_EVENTS)]
    rows = [
        event(moment, user_id="bot", item_id=items[number % len(items)], event="rating", value=5.0)
        for number, moment in enumerate(moments)
        if window.start <= moment < window.end
    ]
    yield from pa.Table.from_pylist(rows, schema=INTERACTIONS).to_batches()
