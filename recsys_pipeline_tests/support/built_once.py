"""Folders that are built once for all workers of a run, by the first that asks; the others wait and read."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def built_once(temporary: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """The folder of that name, filled by `build(folder)` in one of the workers.

    Whoever uses it only reads it: it is the same for all. A build that raises leaves nothing, so that the next worker
    tells its own error.
    """
    shared = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, is_complete = shared / name, shared / f"{name}.complete"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            is_complete.touch()
    return folder
