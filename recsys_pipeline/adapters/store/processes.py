"""Names that say which process made a file, so that others can tell what a dead one left behind."""

import os
import socket
import time
import uuid
from pathlib import Path

ABANDONED_S = 7 * 86_400
"""What other machines that share the disk left is given up after this long: their processes cannot be seen."""


def process_name() -> str:
    """A new name that tells this process and its machine: `<host>~<process id>~<random>`."""
    return f"{socket.gethostname()}~{os.getpid()}~{uuid.uuid4().hex[:12]}"


def is_abandoned(name: str, path: Path) -> bool:
    """Whether the process so named is dead, or was on another machine and last touched the path long ago."""
    if name.partition("~")[0] == socket.gethostname():
        return is_gone(name)
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except FileNotFoundError:
        return False


def is_gone(name: str) -> bool:
    """Whether the process so named was on this machine and is dead; of other machines' nothing is known."""
    host, _, rest = name.partition("~")
    return host == socket.gethostname() and not is_running(rest.partition("~")[0])


def is_running(process_id: str | int) -> bool:
    """Whether a process with this id lives on this machine."""
    try:
        os.kill(int(process_id), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
