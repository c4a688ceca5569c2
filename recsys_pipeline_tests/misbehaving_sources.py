"""Sources that stand before a good one and spoil it in one way each."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from recsys_pipeline.core.dataset.image_files import KnowsImageVersions
from recsys_pipeline.core.dataset.schema import INTERACTIONS, TRACE
from recsys_pipeline.core.dataset.sources import DayRange, KnowsTruth, Source
from recsys_pipeline.core.time import Window

TRACED = pa.schema([*INTERACTIONS, *TRACE])
FILE = "events.csv"


def event(at: datetime, **fields: Any) -> dict[str, Any]:
    """A purchase of an unknown user, unless the fields say otherwise."""
    return {"user_id": "intruder", "item_id": "p000001", "event": "purchase", "value": 1.0, "timestamp": at, **fields}


class Misbehaving:
    """Passes everything on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.name
        self.provides = source.provides
        self.meaning = source.meaning

    def days(self) -> DayRange:
        return self.source.days()

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        return self.source.interactions(window)

    def items(self, as_of: datetime) -> pa.Table:
        return self.source.items(as_of)

    def looks(self, as_of: datetime) -> pa.Table:
        return self.source.looks(as_of)

    def image(self, reference: str) -> bytes:
        return self.source.image(reference)

    def image_version(self, reference: str) -> str:
        assert isinstance(self.source, KnowsImageVersions), "only the simulator is spoilt here"
        return self.source.image_version(reference)

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return self.source.fingerprint(window, table)

    def click_probability(
        self, users: np.ndarray, items: np.ndarray, at: datetime, position: int = 0
    ) -> Float32[np.ndarray, "users items"]:
        return self._truth.click_probability(users, items, at, position)

    def examination(self, position: int) -> float:
        return self._truth.examination(position)

    @property
    def _truth(self) -> KnowsTruth:
        assert isinstance(self.source, KnowsTruth), "only the simulator is spoilt here"
        return self.source


class Planting(Misbehaving):
    """Delivers the same extra events whatever the window; each has its line in a file."""

    extra: tuple[dict[str, Any], ...] = ()

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(TRACED, self._batches(window))

    def _batches(self, window: Window) -> Iterator[pa.RecordBatch]:
        for batch in self.source.interactions(window):
            yield _traced(batch)
        rows = [{**row, "source_file": FILE, "source_row": number} for number, row in enumerate(self.extra, start=2)]
        yield from pa.Table.from_pylist(rows, schema=TRACED).to_batches()


class Prophetic(Planting):
    """Tells at any time what happens at and after the end of 12 January, and of an item that arrives then."""

    END = datetime(2026, 1, 13, tzinfo=UTC)
    extra = tuple(
        event(moment, user_id=user, item_id=item)
        for moment in (END, END + timedelta(hours=1), END + timedelta(hours=9))
        for user, item in (("intruder", "p000001"), ("u000001", "novelty"), ("u000002", "p000002"))
    )

    def items(self, as_of: datetime) -> pa.Table:
        table = self.source.items(as_of)
        novelty = {"item_id": "novelty", "title": "not yet", "categories": ["lamp"], "available": True,
                   "created_at": as_of}  # fmt: skip
        return pa.concat_tables([table, pa.Table.from_pylist([novelty], schema=table.schema)])


class PropheticAgain(Prophetic):
    """The same, and it says that its data may have changed, so that days are read anew."""

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return self.source.fingerprint(window, table) + "again"


class Breaking(Misbehaving):
    """Its connection drops after one batch."""

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            yield next(iter(self.source.interactions(window)))
            raise ConnectionResetError("peer went away")

        return pa.RecordBatchReader.from_batches(INTERACTIONS, batches())


class Empty(Misbehaving):
    """Nothing happens on the days named."""

    days_off: frozenset[date] = frozenset({date(2026, 1, 12)})

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        days = [day for day in window.days() if day not in self.days_off]
        batches = (batch for day in days for batch in self.source.interactions(Window.of_day(day)))
        return pa.RecordBatchReader.from_batches(INTERACTIONS, batches)


class AlwaysEmpty(Empty):
    """Nothing ever happens."""

    days_off = frozenset(date(2026, 1, 1) + timedelta(days=number) for number in range(31))


class Blurred(Misbehaving):
    """One product's photograph is no image."""

    broken = "products/p000003.png"

    def image(self, reference: str) -> bytes:
        return b"<html>404</html>" if reference == self.broken else self.source.image(reference)


def _traced(batch: pa.RecordBatch) -> pa.RecordBatch:
    nulls = [pa.nulls(batch.num_rows, field.type) for field in TRACE]
    return pa.RecordBatch.from_arrays([*batch.columns, *nulls], schema=TRACED)
