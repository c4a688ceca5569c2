"""Folders for what a computation puts aside; what a killed process left goes with the next one.

Beside each folder lies a file whose lock is held while it is in use: the kernel lets go of it however the process ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, LOCK, FOLDER = "recsys-", ".lock", ".d"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder below the system's temporary folder (`TMPDIR`), gone afterwards."""
    sweep_scratch(Path(tempfile.gettempdir()))
    while True:
        descriptor, name = tempfile.mkstemp(prefix=PREFIX, suffix=LOCK)
        lock = Path(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not lock.exists():  # another sweep took it for a dead one's before it was locked
                continue
            folder = lock.with_suffix(FOLDER)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def sweep_scratch(place: Path) -> None:
    """Delete folders whose process is gone; what belongs to another user, or is just being deleted, is passed over."""
    for lock in place.glob(f"{PREFIX}*{LOCK}"):
        with suppress(BlockingIOError, FileNotFoundError, PermissionError), lock.open("rb+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(FOLDER), ignore_errors=True)
            lock.unlink()
