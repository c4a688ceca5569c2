"""Images of looks from their addresses: politely, resumably, and never twice.

What is on disk is never asked for again, and neither is what the server says is gone (404, 410): those stand in
`dead_links.jsonl` below the root. Everything else that fails is left to a later call.
"""

import fcntl
import json
import logging
import os
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recsys_pipeline.adapters.sources.download_file import Patience, fetch_file
from recsys_pipeline.adapters.sources.event_files import LAST
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.stl_config import ImageFetch, StlFiles, fill_pattern
from recsys_pipeline.adapters.sources.stl_files import image_ids
from recsys_pipeline.core.dataset.image_files import check_kind
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.progress import Progress

logger = logging.getLogger(__name__)

DEAD_LINKS = "dead_links.jsonl"
"""One line is an address that the server says is gone: {"id", "url", "status"}."""
GONE = (404, 410)
MAX_FAILURES_IN_A_ROW = 10
"""So many that the cause is the network or the server and not an image."""
TOLD_EVERY = 100
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class FetchSummary:
    """What became of the images that looks need."""

    present: int
    """Were on disk before."""
    dead: int
    """Are gone from the server, as an earlier call or this one found."""
    fetched: int
    failed: int
    """May succeed in a later call."""
    left: int
    """Not asked for, because of a limit: the call's own, or those of `[looks.fetch]`."""


def fetch_looks(source: Source, limit: int | None = None, progress: Progress | None = None) -> FetchSummary:
    """Bring the images of a source's looks to where it reads them, up to `limit` of them.

    Each arrives whole or not at all. Raises `SettingError` for a source that has no `[looks.fetch]`, and `SourceError`
    where another process is fetching, or where so many images fail in a row that it is no use going on.
    """
    config = source.config.looks if isinstance(source, FilesSource) else None
    if not isinstance(source, FilesSource) or not isinstance(config, StlFiles) or config.fetch is None:
        raise SettingError(f'source {source.name} has no [looks.fetch] (in looks of kind "stl"): give it a url')
    root = source.config.root
    with _dead_links(root / DEAD_LINKS) as (dead, record):
        ids = image_ids(source.looks(LAST))
        targets = {found: _target(root, config.image, found) for found in ids}
        missing = [found for found in ids if found not in dead and not targets[found].exists()]
        asked = missing if limit is None else missing[:limit]
        present = len(ids) - len(missing) - sum(found in dead for found in ids)
        fetcher = _Fetcher(config.fetch, record)
        done = 0
        for done, found in enumerate(asked, 1):
            fetcher.fetch(found, targets[found])
            if progress is not None and (done % TOLD_EVERY == 0 or done == len(asked)):
                progress("images", {"done": done, "of": len(asked), **fetcher.counts})
            if fetcher.is_spent():
                break
    counts = fetcher.counts
    gone = sum(found in dead for found in ids) + counts["dead"]
    return FetchSummary(present, gone, counts["fetched"], counts["failed"], len(missing) - done)


def _target(root: Path, pattern: str, image_id: str) -> Path:
    target = root / fill_pattern(pattern, image_id)
    if not target.resolve().is_relative_to(root.resolve()):
        raise SourceError(f"the image of id {image_id!r} would lie outside {root}: remove that id from the looks")
    return target


class _Fetcher:
    """Fetches one image after another, at a bounded rate, and counts what became of them."""

    def __init__(self, config: ImageFetch, record: IO[str]) -> None:
        self.config, self.record = config, record
        self.patience = Patience(
            config.timeout_s, config.attempts, config.backoff_s, config.image_mb * MEGABYTE, config.image_s
        )
        self.n_bytes, self.deadline = 0, time.monotonic() + config.run_s
        self.counts = {"fetched": 0, "dead": 0, "failed": 0}
        self.failures_in_a_row = 0
        self.next_s = time.monotonic()

    def fetch(self, image_id: str, target: Path) -> None:
        url = fill_pattern(self.config.url, urllib.parse.quote(image_id, safe=""))
        self._wait_for_turn()
        try:
            _fetch_image(url, target, self.patience)
        except SourceError as error:
            status = error.__cause__.code if isinstance(error.__cause__, urllib.error.HTTPError) else None
            if status in GONE:
                self._bury(image_id, url, status)
            else:
                self._fail(url, error)
        else:
            self.counts["fetched"] += 1
            self.n_bytes += target.stat().st_size
            self.failures_in_a_row = 0

    def is_spent(self) -> bool:
        """Whether the call has brought, or taken, what it may."""
        return self.n_bytes >= self.config.run_mb * MEGABYTE or time.monotonic() >= self.deadline

    def _wait_for_turn(self) -> None:
        time.sleep(max(0.0, self.next_s - time.monotonic()))
        self.next_s = max(self.next_s, time.monotonic()) + 1 / self.config.per_second

    def _bury(self, image_id: str, url: str, status: int) -> None:
        self.record.write(json.dumps({"id": image_id, "url": url, "status": status}) + "\n")
        self.record.flush()
        os.fsync(self.record.fileno())
        self.counts["dead"] += 1
        self.failures_in_a_row = 0

    def _fail(self, url: str, error: SourceError) -> None:
        logger.warning("%s is left to a later call: %s", url, error)
        self.counts["failed"] += 1
        self.failures_in_a_row += 1
        if self.failures_in_a_row == MAX_FAILURES_IN_A_ROW:
            raise SourceError(
                f"{MAX_FAILURES_IN_A_ROW} images in a row failed, the last so: {error}. What has arrived is kept; run "
                "again once the server can be reached, with a lower per_second if it answered 429"
            ) from error


def _fetch_image(url: str, target: Path, patience: Patience) -> None:
    arrived = target.with_name(f".{target.name}.fetched")
    fetch_file(url, arrived, None, patience)
    try:
        check_kind(arrived.read_bytes())  # an error page under status 200, say
    except ValueError as error:
        arrived.unlink()
        raise SourceError(f"{url} gave no image: {error}") from error
    os.replace(arrived, target)


@contextmanager
def _dead_links(path: Path) -> Iterator[tuple[set[str], IO[str]]]:
    """The ids that are known to be gone, and the file to add to; held by one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SourceError(f"another process is fetching into {path.parent}: wait until it has ended") from error
        record.seek(0)
        lines = record.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        if len(whole) < len(lines):  # a process was killed while it wrote: that link is asked for once more
            record.truncate(sum(len(line.encode()) for line in whole))
        yield {_dead_id(line, number, path) for number, line in enumerate(whole, 1)}, record


def _dead_id(line: str, number: int, path: Path) -> str:
    try:
        return json.loads(line)["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f'line {number} of {path} is no {{"id": ...}}: remove it ({error!r})') from error
