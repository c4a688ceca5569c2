"""Files and folders that are on the disk when a call returns, and are there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys_pipeline.adapters.store.processes import temporary_beside


def sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """A folder and everything below it."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def replace_file(path: Path, content: bytes, temporary: Path | None = None) -> None:
    """Put a file in place of what is there, by way of `temporary` on the same disk, or a file beside it."""
    with replacing(path, temporary) if temporary else replacing_beside(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def replacing_beside(path: Path) -> Iterator[Path]:
    """A file beside that takes its place when the body ends well; what killed processes left of such goes first."""
    with temporary_beside(path) as temporary, replacing(path, temporary):
        yield temporary


@contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[Path]:
    """What the body writes to `temporary`, on the same disk, takes the place of a file when the body ends well."""
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # that the disk is full is said of no file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def remove(path: Path) -> None:
    """A folder or a file, unless another process is faster."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
