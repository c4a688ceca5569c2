"""Files of lines that processes append to: on the disk when a call returns, each line whole or not at all."""

import os
from collections.abc import Sequence
from pathlib import Path

from recsys_pipeline.adapters.store.durable_files import sync


def append_lines(file: Path, lines: Sequence[str]) -> None:
    """Append lines, all or none: what a full disk takes half of is cut off again. Raises `OSError`."""
    if not file.parent.is_dir():
        file.parent.mkdir(parents=True, exist_ok=True)
        sync(file.parent.parent)
    is_new = not file.exists()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        before = os.fstat(descriptor).st_size
        try:
            content = memoryview("".join(line + "\n" for line in lines).encode())
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        sync(file.parent)


def whole_lines(file: Path) -> list[str]:
    """Its lines; what stands after the last newline was cut short by a kill, and was never promised to anybody."""
    return [line.decode() for line in file.read_bytes().split(b"\n")[:-1]]
