"""What a run would make of a source, found before it: days that it would refuse, bad rows, lone far days, joins."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.period_files import joined
from recsys_pipeline.core.dataset.days import Written, write_good_periods
from recsys_pipeline.core.dataset.joins import join_share
from recsys_pipeline.core.dataset.schema import validate_items
from recsys_pipeline.core.dataset.sources import KnowsFarDays, Source
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.core.scratch import scratch_folder
from recsys_pipeline.core.time import Window

NEWEST_DAYS = 31
"""Days that are looked at: as many as are read in seconds."""
MAX_SHARE = 0.01
MIN_JOIN_SHARE = 0.5


@dataclass(frozen=True)
class Doubt:
    """Something about a source that people should know before a run."""

    is_wrong: bool
    """Whether a run with the usual settings would fail, or leave days out."""
    what: str


def doubts_of(source: Source) -> Iterator[Doubt]:
    """Look at the newest `NEWEST_DAYS` days of events as a run would, and at the catalogue; stores nothing."""
    if "interactions" in source.provides:
        if isinstance(source, KnowsFarDays) and (told := source.far_days()):
            yield Doubt(False, told)
        with scratch_folder() as folder:
            yield from _doubts_of_days(source, folder)
    elif "items" in source.provides:
        yield from _doubts_of_items(source, None)


def _doubts_of_days(source: Source, folder: Path) -> Iterator[Doubt]:
    days = source.days()
    last = days.last or datetime.now(UTC).date() - timedelta(days=1)
    asked = [last - timedelta(days=back) for back in range(NEWEST_DAYS) if last - timedelta(days=back) >= days.first]
    there = [day for day in asked if day not in days.absent]
    if absent := sorted(set(asked) - set(there)):
        yield Doubt(False, f"{len(absent)} of the newest {len(asked)} days have no file: {absent[0]}, for one")
    ids = []
    for number, window in enumerate(joined(Window.of_day(day) for day in sorted(there))):
        place = folder / str(number)
        try:
            written = write_good_periods(
                source.interactions(window),
                window,
                place,
                max_quarantine_share=MAX_SHARE,
                meaning=source.meaning.events,
            )
        except RecsysError as error:
            yield Doubt(True, f"{window.start.date()} to {(window.end - timedelta(days=1)).date()}: {error}")
            continue
        yield from _doubts_of_written(written, place)
        ids += [pq.read_table(place / file.path, columns=["item_id"]).column("item_id") for file in written.files]
    if "items" in source.provides:
        events = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
        yield from _doubts_of_items(source, events)


def _doubts_of_written(written: Written, place: Path) -> Iterator[Doubt]:
    for start, why in written.refused.items():
        yield Doubt(True, f"{start.date()} cannot be used: {why}")
    bad = [file for file in written.files if file.quarantined]
    if bad:
        rows = sum(file.given for file in written.files)
        first = pq.read_table(place / bad[0].quarantine_path).slice(0, 1).to_pylist()[0]
        counts = f"{sum(file.quarantined for file in bad)} of {rows} rows of the newest days would be put aside"
        place_told = f"row {first['source_row']} of {first['source_file']}: {first['reason']}"
        yield Doubt(False, f"{counts}; the first is {place_told}")


def _doubts_of_items(source: Source, events: pa.ChunkedArray | None) -> Iterator[Doubt]:
    now = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
    try:
        items = validate_items(source.items(now), now)
        items.check_share("items", MAX_SHARE)
        if events is None:
            return
        joins = join_share("interactions", events, items.clean.column("item_id"))
        joins.check(MIN_JOIN_SHARE)
        if joins.missing:
            yield Doubt(False, joins.told())
    except RecsysError as error:
        yield Doubt(True, str(error))
