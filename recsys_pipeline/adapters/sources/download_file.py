"""One file over HTTP, so that it arrives whole or not at all: resumes, retries, verifies, renames."""

import hashlib
import http.client
import logging
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recsys_pipeline.adapters.store.machine_errors import is_of_the_machine
from recsys_pipeline.core.errors import SourceError

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
RETRIED_STATUS = {408, 429, 500, 502, 503, 504}
LONGEST_WAIT_S = 300.0


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server. `timeout_s` bounds each silence, not the whole transfer."""

    timeout_s: float = 30.0
    attempts: int = 5
    backoff_s: float = 1.0
    """Wait before the second attempt; it doubles with each further one, and is at least what `Retry-After` asks for."""
    max_bytes: float = math.inf
    """A larger file is refused, by what the server says of it, or as it arrives."""
    total_s: float = math.inf
    """All attempts and waits together: a server may be slow without ever being silent."""


class _InterruptedError(Exception):
    """The transfer broke off in a way that another attempt may mend."""


def fetch_file(url: str, target: Path, md5: str | None = None, patience: Patience | None = None) -> None:
    """Bring `url` to `target`. What has arrived stays in `<target>.part` and is continued, also by a later call.

    A server that ignores the range, or whose file has changed since (ETag, Last-Modified), makes it start again.
    Raises `SourceError` naming the URL where the file is not there, does not arrive, or is not what `md5` says.
    """
    part, patience = target.with_name(f"{target.name}.part"), patience or Patience()
    target.parent.mkdir(parents=True, exist_ok=True)
    bounds = _Bounds(url, part, patience.max_bytes, time.monotonic() + patience.total_s)
    _persist(url, patience, lambda timeout_s: _continue(url, part, timeout_s, md5 is not None, bounds))
    if md5 is not None and (found := file_md5(part)) != md5:
        _forget(part)
        raise SourceError(f"{url} has MD5 {found} instead of {md5}: the download was discarded; try again later")
    with part.open("rb+") as arrived:
        os.fsync(arrived.fileno())
    os.replace(part, target)
    _validator_file(part).unlink(missing_ok=True)


def fetch_text(url: str, patience: Patience | None = None) -> str | None:
    """A small text at `url`, or None where the server has no such file (404)."""
    texts: list[str | None] = [None]

    def read(timeout_s: float) -> None:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            texts[0] = response.read(CHUNK).decode("utf-8", errors="replace")

    try:
        _persist(url, patience or Patience(), read)
    except SourceError as error:
        if not isinstance(error.__cause__, urllib.error.HTTPError) or error.__cause__.code != 404:
            raise
    return texts[0]


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, as data sets publish it; it guards against accidents, not against attackers."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _persist(url: str, patience: Patience, attempt: Callable[[float], None]) -> None:
    """Run `attempt` until it succeeds, fails for good, or patience ends."""
    deadline = time.monotonic() + patience.total_s
    for number in range(1, patience.attempts + 1):
        try:
            return attempt(patience.timeout_s)
        except urllib.error.HTTPError as error:
            failure: Exception = error
            if error.code not in RETRIED_STATUS:
                raise SourceError(f"{url} answered {error.code} {error.reason}: check the address") from error
        except (_InterruptedError, OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and is_of_the_machine(error):
                raise  # a full disk is no trouble of the server's
            failure = error
        if number == patience.attempts:
            raise SourceError(
                f"{url} did not arrive in {patience.attempts} attempts, the last ended with: {failure}; "
                "what has arrived is kept, run again to continue"
            ) from failure
        wait_s = max(patience.backoff_s * 2 ** (number - 1), _asked_wait_s(failure))
        if time.monotonic() + wait_s > deadline:
            raise SourceError(f"{url} did not arrive within {patience.total_s:g} s: {failure}") from failure
        logger.warning("attempt %d at %s: %s; again in %.1f s", number, url, failure, wait_s)
        time.sleep(wait_s)
    raise SourceError(f"{url}: attempts is {patience.attempts}; it must be 1 or more")


def _asked_wait_s(failure: Exception) -> float:
    """The seconds of a `Retry-After`, no more than `LONGEST_WAIT_S`; 0 where there is none (or a date)."""
    asked = failure.headers.get("Retry-After", "") if isinstance(failure, urllib.error.HTTPError) else ""
    return min(float(asked), LONGEST_WAIT_S) if asked.isdecimal() else 0.0


@dataclass(frozen=True)
class _Bounds:
    """What a file may take; where it takes more, what has arrived is deleted, and no attempt would help."""

    url: str
    part: Path
    max_bytes: float
    deadline: float

    def check(self, n_bytes: int) -> None:
        """Raises `SourceError`."""
        if n_bytes > self.max_bytes:
            _forget(self.part)
            raise SourceError(f"{self.url} has more than {self.max_bytes:,.0f} bytes, the most that is taken")
        if time.monotonic() > self.deadline:
            _forget(self.part)
            raise SourceError(f"{self.url} took too long: {n_bytes:,} bytes had arrived in the time that it has")


def _continue(url: str, part: Path, timeout_s: float, trusted: bool, bounds: _Bounds) -> None:
    """One attempt: ask for what is missing and append it. `trusted` means that a checksum will judge the whole."""
    validator = _validator_file(part)
    known = validator.read_text() if validator.is_file() else ""
    have = part.stat().st_size if part.is_file() and (known or trusted) else 0
    headers = {"Range": f"bytes={have}-", **({"If-Range": known} if known else {})} if have else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        _forget(part)
        raise _InterruptedError("the server has nothing after what had arrived: starting again") from error
    with response:
        continues = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not continues:
            _forget(part)
            raise _InterruptedError("the server sent another range than was asked for: starting again")
        validator.write_text(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
        size = response.headers.get("Content-Length")
        wanted = None if size is None else int(size) + (have if continues else 0)
        bounds.check(wanted or 0)
        with part.open("ab" if continues else "wb") as arrived:
            # `read1` gives what is there: a server that drips would otherwise be waited for a whole chunk long.
            while chunk := response.read1(CHUNK):
                arrived.write(chunk)
                bounds.check(arrived.tell())
    # http.client ends a short body without complaint when it is read in chunks.
    if wanted is not None and part.stat().st_size != wanted:
        raise _InterruptedError(f"the connection closed after {part.stat().st_size} of {wanted} bytes")


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)
