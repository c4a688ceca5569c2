"""Processes that were started together, found again by their group after the one that started them is gone."""

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys_pipeline.adapters.store.durable_files import replace_file
from recsys_pipeline.adapters.store.processes import Processes

OURS = ("dagster", "multiprocessing")
"""What a command line of Dagster's servers and of the processes of its runs holds: a group's number may be reused."""
POLL_S = 0.2


@dataclass(frozen=True)
class Member:
    """A living process of a group."""

    process_id: int
    command: str


@dataclass(frozen=True)
class Group:
    """The processes of one UI: the number of their group, and who started them; noted in a file."""

    number: int
    owner: str

    @classmethod
    def of_this_process(cls, number: int, path: Path) -> "Group":
        """A group that this process has started and will note there."""
        return cls(number, _starters(path).me())

    @classmethod
    def read(cls, path: Path) -> "Group | None":
        """What was noted in a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def note(self, path: Path) -> None:
        """Keep it in a file."""
        replace_file(path, json.dumps(asdict(self)).encode())

    def is_owned(self, path: Path) -> bool:
        """Whether the process that started it, and noted it there, lives."""
        return not _starters(path).is_abandoned(self.owner, path)

    def members(self) -> list[Member]:
        """Its processes that live on this machine."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,pgid=,args="], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        found = [(int(row[0]), row[2]) for row in rows if len(row) == 3 and row[1] == str(self.number)]
        return [Member(process_id, command) for process_id, command in found if any(word in command for word in OURS)]

    def hold(self, word: str) -> None:
        """Stop those of its processes that have this word in their command line; `end` ends them as well."""
        for member in self.members():
            if word in member.command:
                _send(member.process_id, signal.SIGSTOP)

    def end(self, patience_s: float) -> None:
        """Ask its processes to end, and kill those that have not after that time."""
        self._send_all(signal.SIGTERM)
        self._send_all(signal.SIGCONT)  # one that is held takes what was sent first
        deadline = time.monotonic() + patience_s
        while self.members() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self.kill()

    def kill(self) -> None:
        """End its processes at once, and wait until they are gone."""
        while self._send_all(signal.SIGKILL):
            time.sleep(POLL_S)

    def _send_all(self, number: signal.Signals) -> int:
        """To how many a signal was sent."""
        members = self.members()
        for member in members:
            _send(member.process_id, number)
        return len(members)


def _starters(note: Path) -> Processes:
    return Processes(note.parent / ".processes")


def _send(process_id: int, number: signal.Signals) -> None:
    try:
        os.kill(process_id, number)
    except ProcessLookupError:  # it ended by itself
        return
