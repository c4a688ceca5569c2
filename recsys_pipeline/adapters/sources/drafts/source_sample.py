"""A look at the newest events of a source before any run reads them: what they would be taken for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from recsys_pipeline.adapters.intake.period_files import joined
from recsys_pipeline.core.dataset.day_writer import EVENT_KEY
from recsys_pipeline.core.dataset.event_counts import event_counts, kinds_counted
from recsys_pipeline.core.dataset.event_doubts import Counts, Doubt, doubts
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.time import Window

MOST_ROWS = 500_000
"""At 200,000 rows a second, as from a database, a few seconds."""


@dataclass(frozen=True)
class SeenEvents:
    """What the newest rows of a source would be taken for; rows that cannot be read are left out."""

    rows: int
    counts: Counts
    repeats: int
    doubts: tuple[Doubt, ...]


def look_at_events(source: Source, most_rows: int = MOST_ROWS) -> SeenEvents:
    """Read the newest days of a source back to `most_rows` rows; raises `SourceError` where they cannot be read."""
    meaning, batches = source.meaning, list(_newest(source, most_rows))
    if not batches:
        return SeenEvents(0, {}, 0, ())
    found = pa.Table.from_batches(batches)
    with open_duckdb() as con:
        con.register("found", found)
        read = "user_id is not null and item_id is not null and value is not null and timestamp is not null"
        rows = con.sql(f"select event, value from found where event is not null and {read}").to_arrow_table()
        key = ", ".join(EVENT_KEY)
        events = con.sql(f"select count(*) from (select distinct {key} from found where event is not null and {read})")
        repeats = rows.num_rows - int(events.fetchall()[0][0])
    counts = kinds_counted([event_counts(rows, meaning.events)])
    return SeenEvents(found.num_rows, counts, repeats, tuple(doubts(meaning, counts, repeats)))


def _newest(source: Source, most_rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of the newest days, further back by ever more days, until there are enough rows."""
    days = source.days()
    last = min(days.last or datetime.now(UTC).date(), datetime.now(UTC).date())
    there = [day for day in Window.of_days(days.first, last).days() if day not in days.absent]
    n_rows, length = 0, 1
    while there and n_rows < most_rows:
        some, there, length = there[-length:], there[:-length], 2 * length
        for window in joined(Window.of_day(day) for day in some):
            for given in source.interactions(window):
                # A row with a defect is put aside; one that no day can claim even comes with every window.
                batch = given.filter(given.column("defect").is_null())
                n_rows += batch.num_rows
                yield batch.select([name for name in batch.schema.names if name in (*EVENT_KEY, "value")])
                if n_rows >= most_rows:
                    return
