"""A lock between processes of one machine that dies with its holder and says who that is."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


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
