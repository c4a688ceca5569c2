"""Names that say which process made a file, so that others can tell what a dead one left behind.

A process is known by a random token, and holds the lock of a file of that name below the folder that it shares with
others: the kernel lets go of it however the process ends. Its number says nothing: two containers may both be process 1
of one host name.
"""

import atexit
import fcntl
import glob
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ABANDONED_S = 7 * 86_400
"""What other machines that share the disk left is given up after this long: their locks may not be seen from here."""


@dataclass(frozen=True)
class Processes:
    """Those that share what lies beside `folder`, in which each has the file of its token."""

    folder: Path

    def me(self) -> str:
        """This process: `<host>~<process id>~<token>`, the first two for people."""
        return f"{socket.gethostname()}~{os.getpid()}~{_token(self.folder)}"

    def new_name(self) -> str:
        """A name of its own for something that this process makes."""
        return f"{self.me()}~{uuid.uuid4().hex[:8]}"

    def is_abandoned(self, name: str, path: Path) -> bool:
        """Whether who so named the path is dead; on another machine, also that it was last touched long ago."""
        if not _is_of_this_host(name) and not _is_old(path):
            return False
        return not _is_held(self._file(name))

    def was_killed(self, name: str) -> bool:
        """Whether a process of this machine left its file behind; one that ended in order takes it away."""
        file = self._file(name)
        return _is_of_this_host(name) and file.is_file() and not _is_held(file)

    def forget_killed(self) -> None:
        """Take away the files of dead processes."""
        for file in [*self.folder.glob("*~*")] if self.folder.is_dir() else []:
            if _is_of_this_host(file.name) or _is_old(file):
                _is_held(file, or_else_remove=True)

    def _file(self, name: str) -> Path:
        """The file of the process so named."""
        return self.folder / "~".join(name.split("~")[:3])


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """An empty file beside another, whose lock this process holds; those that killed processes left go first."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*~*"):
        if _is_of_this_host(left.name.removeprefix(f".{path.name}.")) or _is_old(left):
            _is_held(left, or_else_remove=True)
    name = f".{path.name}.{socket.gethostname()}~{os.getpid()}~"
    while True:
        temporary = path.with_name(name + uuid.uuid4().hex[:16])
        with temporary.open("xb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_at(temporary, stream.fileno()):
                continue  # whoever clears up was there before the lock was
            try:
                yield temporary
            finally:
                if _is_at(temporary, stream.fileno()):
                    temporary.unlink()
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_held(file: Path, or_else_remove: bool = False) -> bool:
    """Whether a living process, this one included, holds the lock of a file; where it cannot be asked, it may."""
    if not file.is_file():
        return False
    try:
        with file.open("rb+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if or_else_remove:  # under the lock: it may be just about to be claimed
                file.unlink(missing_ok=True)
    except (BlockingIOError, PermissionError):
        return True
    except FileNotFoundError:
        return False
    return False


def is_running(process_id: int) -> bool:
    """Whether a process with this id, of those that this one can see, lives."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class _Claim:
    """The file of a token, open and locked."""

    token: str
    process_id: int
    path: Path
    descriptor: int

    def holds(self) -> bool:
        """Whether it is this process's, and its file is still the one at its path: folders are deleted under us."""
        return self.process_id == os.getpid() and _is_at(self.path, self.descriptor)

    def give_up(self) -> None:
        """Take the file away; a child that was forked has the claim of its parent, and leaves it."""
        if self.holds():
            self.path.unlink(missing_ok=True)


_claims: dict[Path, _Claim] = {}
_claiming = threading.Lock()


def _token(folder: Path) -> str:
    """This process's token in a folder, claimed once."""
    with _claiming:
        claim = _claims.get(folder.absolute())
        while claim is None or not claim.holds():
            claim = _claims[folder.absolute()] = _claimed(folder.absolute())
            atexit.register(claim.give_up)
        os.utime(claim.descriptor)  # so that a long life does not look like a long absence
        return claim.token


def _claimed(folder: Path) -> _Claim:
    """A new token; until its file is locked, whoever clears up may take it away, and another is claimed."""
    folder.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:16]
    path = folder / f"{socket.gethostname()}~{os.getpid()}~{token}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:  # a file system that knows no locks
        error.filename = str(path)
        raise
    return _Claim(token, os.getpid(), path, descriptor)


def _is_of_this_host(name: str) -> bool:
    return name.partition("~")[0] == socket.gethostname()


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except FileNotFoundError:
        return False
