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


@dataclass(frozen=True)
class Written:
    """What came of a window: the files of the periods that can be used, and of each other its rows and why not."""

    files: list[PeriodFile]
    refused: dict[datetime, str]
    rows_refused: dict[datetime, int]


def judged(
    directory: Path, files: list[PeriodFile], tallies: Mapping[datetime, Tally], undated: Undated, max_share: float
) -> Written:
    """Remove the files of periods that may not be used, and put rows without a time aside: new ones with the last.

    Those that a period of the window held before stay with it. Raises `DataError` where what is left has more than
    `max_share` of bad rows.
    """
    last = files[-1]
    fresh, streams = _put_aside(directory, files, undated)
    refused = clearly_bad_parts(tallies, max_share)
    refused |= days_of_bad_files(_kept(tallies, refused), fresh, last.start, max_share)
    # Those of a day that is refused stay where they are, as that day does.
    check_rest(_kept(tallies, refused).values(), Tally() if last.start in refused else fresh, max_share)
    kept = [_with_rows(directory, file, streams.get(file.partition)) for file in files if file.start not in refused]
    for file in files:
        if file.start in refused:
            shutil.rmtree((directory / file.path).parent)
    for path in (directory / UNDATED_FILE, *(stream.path for stream in streams.values())):
        path.unlink()
    return Written(kept, refused, {start: tallies[start].rows.total() for start in refused})


def _kept(tallies: Mapping[datetime, Tally], refused: Mapping[datetime, str]) -> dict[datetime, Tally]:
    return {start: tally for start, tally in tallies.items() if start not in refused}


def _put_aside(directory: Path, files: list[PeriodFile], undated: Undated) -> tuple[Tally, dict[str, ParquetStream]]:
    """A count of the rows without a time that are new, and files of those rows by the period of the window."""
    fresh, names, streams = Tally(), {file.partition for file in files}, {}
    for rows, holders in undated.held(directory / UNDATED_FILE):
        new = rows.filter(pa.array([holder is None for holder in holders], pa.bool_()))
        fresh.rows.update(files_of(new))
        for count, first in bad_by_file(new):
            fresh.add_bad(count, first)
        targets = [holder or files[-1].partition for holder in holders]
        for name in sorted(names.intersection(targets)):
            stream = streams.setdefault(name, ParquetStream(directory / f".undated-{name}.parquet", QUARANTINE))
            stream.add(rows.filter(pa.array([target == name for target in targets], pa.bool_())))
    for stream in streams.values():
        stream.close()
    return fresh, streams


def _with_rows(directory: Path, file: PeriodFile, rows: ParquetStream | None) -> PeriodFile:
    """These rows behind those of the period's quarantine."""
    if rows is None:
        return file
    place, whole = directory / file.quarantine_path, directory / f".whole-{file.partition}.parquet"
    stream = ParquetStream(whole, QUARANTINE)
    for path in (place, rows.path):
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
            stream.add(pa.Table.from_batches([batch]).cast(QUARANTINE))
    stream.close()
    whole.replace(place)
    return dataclasses.replace(file, quarantined=file.quarantined + rows.rows, without_time=rows.rows)
