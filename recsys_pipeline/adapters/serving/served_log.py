"""The table of what was served: every list with all that made it, so that it can be made again and be learned from.

    <home>/served/<YYYY-MM-DD>/<HH>/<process>.jsonl      lists of an hour as they come, on the disk within a second
    <home>/served/<YYYY-MM-DD>/<HH>/<process>.parquet    the same once the hour is over, or the process has ended

A line that a killed process left half-written is the last of its file, and was never promised to anybody.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.adapters.serving.lines import append_lines, whole_lines
from recsys_pipeline.adapters.store.durable_files import replacing_beside
from recsys_pipeline.adapters.store.processes import Processes
from recsys_pipeline.core.dataset.schema import TIMESTAMP
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.serving.policy.lists import ServedList
from recsys_pipeline.core.serving.policy.request import Request

BEHIND_S = 0.5
"""A list is on the disk so long after it was served, at most."""
BATCH_ROWS = 1024
PLACE = pa.struct(
    [
        ("item_id", pa.string()),
        ("position", pa.int32()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("because", pa.string()),
    ]
)
SERVED = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("at", TIMESTAMP),
        ("policy", pa.string()),
        ("release_day", pa.string()),
        ("release", pa.string()),
        ("overlay_hour", pa.string()),
        ("overlay", pa.string()),
        ("request", pa.string()),
        ("why", pa.string()),
        ("skipped", pa.list_(pa.string())),
        ("places", pa.list_(PLACE)),
    ]
)
"""One row is a list. `policy`, `release` and `overlay` are digests; `request` is its JSON; positions count from 0."""


@dataclass(frozen=True)
class Made:
    """What a list was made of, by digests."""

    policy: str
    release_day: str
    release: str
    overlay_hour: str = ""
    overlay: str = ""


def row_of(found: ServedList, made: Made) -> dict[str, Any]:
    """A list as a row of `SERVED`; `at` in microseconds."""
    places = [
        {
            "item_id": place.item_id, "position": at, "score": place.score, "propensity": place.propensity,
            "source": place.source, "reason": place.reason.kind, "because": place.reason.item_id,
        }
        for at, place in enumerate(found.places)
    ]  # fmt: skip
    request = found.request
    return {
        "request_id": request.request_id, "user_id": request.user_id, "at": request.at_us, **vars(made),
        "request": request.text(), "why": found.why, "skipped": list(found.skipped), "places": places,
    }  # fmt: skip


class ServedLog:
    """Takes lists as they are served, and writes them behind: to serve waits for no disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes = Processes(folder / ".processes")
        self._name = self._processes.new_name()
        self._waiting: list[dict[str, Any]] = []
        self._lock, self._wake, self._ended = threading.Lock(), threading.Event(), False
        self._hours: set[Path] = set()
        compact(folder, self._processes)
        self._processes.forget_killed()
        self._thread = threading.Thread(target=self._write_behind, name="served log", daemon=True)
        self._thread.start()
        self.failed = ""
        """What the last write raised: lists wait in memory and are tried again."""

    def append(self, row: dict[str, Any]) -> None:
        """Take a row of `SERVED`."""
        with self._lock:
            self._waiting.append(row)

    @property
    def behind(self) -> int:
        """Lists that are not on the disk yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Write what waits, and put this process's files into their lasting form."""
        self._ended = True
        self._wake.set()
        self._thread.join()
        self._flush()
        for file in sorted(self._hours):
            _to_parquet(file)

    def _write_behind(self) -> None:
        while not self._ended:
            self._wake.wait(BEHIND_S)
            try:
                self._flush()
                self._close_hours()
                self.failed = ""
            except OSError as error:
                self.failed = str(error)

    def _flush(self) -> None:
        with self._lock:
            rows = list(self._waiting)
        for file, of_file in groupby(rows, lambda row: self._file(row["at"])):
            lines = [json.dumps(row, separators=(",", ":")) for row in of_file]
            append_lines(file, lines)
            self._hours.add(file)
            with self._lock:  # at once: what is written is not written again, whatever becomes of the rest
                del self._waiting[: len(lines)]

    def _close_hours(self) -> None:
        """Hours that are over, but for the latest that was written to."""
        for file in sorted(self._hours)[:-1]:
            _to_parquet(file)
            self._hours.discard(file)

    def _file(self, at_us: int) -> Path:
        at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
        return self.folder / f"{at:%Y-%m-%d}" / f"{at:%H}" / f"{self._name}.jsonl"


def compact(folder: Path, processes: Processes) -> None:
    """Put what dead processes left into its lasting form."""
    for file in sorted(folder.glob("*/*/*.jsonl")):
        if processes.is_abandoned(file.stem, file):
            _to_parquet(file)


def served_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Every row that there is, in no order; of both forms, each once."""
    for file in sorted(folder.glob("*/*/*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                yield {**row, "at": Request.of(json.loads(row["request"])).at_us}
    for file in sorted(folder.glob("*/*/*.jsonl")):
        if not file.with_suffix(".parquet").exists():
            yield from _rows_of(file)


def find_served(folder: Path, request_id: str) -> dict[str, Any]:
    """The row of a request; raises `ArtifactError` where it was never served from here, or is no longer kept."""
    for row in served_rows(folder):
        if row["request_id"] == request_id:
            return row
    raise ArtifactError(f"{folder} holds no list of the request {request_id!r}")


def _rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole_lines(file)]


def _to_parquet(file: Path) -> None:
    rows = _rows_of(file)
    with replacing_beside(file.with_suffix(".parquet")) as unfinished:
        pq.write_table(pa.Table.from_pylist(rows, SERVED), unfinished, compression="zstd")
    file.unlink(missing_ok=True)
