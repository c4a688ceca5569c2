"""A lock between processes of one machine that dies with its holder and says who that is."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from recsys_pipeline.core.errors import RecsysError

TRIES_EVERY_S = 0.02


@contextmanager
def waiting(path: Path, what: str, wait_s: float, error: type[RecsysError] = RecsysError) -> Iterator[None]:
    """Hold the lock while the body runs, once others have let go of it; raises `error` after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        with exclusive(path, what) as holder:
            if not holder:
                yield
                return
        if time.monotonic() > deadline:
            raise error(f"{path} is held by {holder}: try again when it is done")
        time.sleep(TRIES_EVERY_S)


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[str]:
    """Hold the lock while the body runs, which gets an empty text; or, where another has it, who and since when."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            yield stream.read().strip() or "another process"
            return
        stream.truncate(0)
        stream.write(f"{what}: process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%F %T} UTC\n")
        stream.flush()
        yield ""
