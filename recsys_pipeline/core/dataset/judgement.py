"""Which days and hours of a window are good enough to be used: each judged by itself, and each file by itself."""

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.core.dataset.day_writer import UNDATED_FILE, ParquetStream, PeriodFile
from recsys_pipeline.core.dataset.schema import QUARANTINE
from recsys_pipeline.core.dataset.shares import Tally, check_rest, clearly_bad_parts, days_of_bad_files
from recsys_pipeline.core.dataset.undated import BATCH_ROWS, Undated, bad_by_file, files_of

FRESH_FILE = ".fresh.parquet"


@dataclass(frozen=True)
class Written:
    """What came of a window: the files of the periods that can be used, and of each other its rows and why not."""

    files: list[PeriodFile]
    refused: dict[datetime, str]
    rows_refused: dict[datetime, int]


def judged(
    directory: Path, files: list[PeriodFile], tallies: Mapping[datetime, Tally], undated: Undated, max_share: float
) -> Written:
    """Remove the files of periods that may not be used, and put rows without a time aside with the last period.

    Raises `DataError` where what is left has more than `max_share` of bad rows.
    """
    last = files[-1]
    refused = clearly_bad_parts(tallies, max_share)
    fresh = _fresh(directory, files, undated, refused)
    by_file = days_of_bad_files(_kept(tallies, refused), fresh, last.start, max_share)
    if by_file:
        refused |= by_file
        fresh = _fresh(directory, files, undated, refused)
    if last.start in refused:
        fresh = Tally()  # they stay where they are, as that day does
    check_rest(_kept(tallies, refused).values(), fresh, max_share)
    kept = [file for file in files if file.start not in refused]
    if fresh.rows:
        kept[-1] = _with_fresh_rows(directory, last, fresh.rows.total())
    for file in files:
        if file.start in refused:
            shutil.rmtree((directory / file.path).parent)
    for name in (UNDATED_FILE, FRESH_FILE):
        (directory / name).unlink(missing_ok=True)
    return Written(kept, refused, {start: tallies[start].rows.total() for start in refused})


def _kept(tallies: Mapping[datetime, Tally], refused: Mapping[datetime, str]) -> dict[datetime, Tally]:
    return {start: tally for start, tally in tallies.items() if start not in refused}


def _fresh(directory: Path, files: list[PeriodFile], undated: Undated, refused: Mapping[datetime, str]) -> Tally:
    """Write the rows without a time that no other day holds to `FRESH_FILE`, and count them by file."""
    found, stream = Tally(), ParquetStream(directory / FRESH_FILE, QUARANTINE)
    kept = [file.partition for file in files if file.start not in refused]
    for rows in undated.fresh(directory / UNDATED_FILE, kept):
        stream.add(rows)
        found.rows.update(files_of(rows))
        for count, first in bad_by_file(rows):
            found.add_bad(count, first)
    stream.close()
    return found


def _with_fresh_rows(directory: Path, file: PeriodFile, count: int) -> PeriodFile:
    """The rows of `FRESH_FILE` behind those of the period's quarantine."""
    place, whole = directory / file.quarantine_path, directory / f"{FRESH_FILE}.whole"
    stream = ParquetStream(whole, QUARANTINE)
    for path in (place, directory / FRESH_FILE):
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
            stream.add(pa.Table.from_batches([batch]).cast(QUARANTINE))
    stream.close()
    whole.replace(place)
    return dataclasses.replace(file, quarantined=file.quarantined + count, without_time=count)
