"""The process beside a run: plays its outbox into Weights & Biases as it grows.

    python -m recsys_pipeline.adapters.wandb.follow DIR --project P --stores URL --cache DIR --parent PID
        --owner NAME [--online]

In a process of its own, because the client may block, fail or hang at exit, and a run must not notice. It ends when its
parent is done (standard input closes) and everything is sent, or when nothing happened for a while; the parent starts
another when it needs one. Killing it at any moment loses nothing.
"""

import argparse
import logging
import os
import sys
import threading
import time
from pathlib import Path

from recsys_pipeline.adapters.store.manifest import to_json
from recsys_pipeline.adapters.store.processes import is_running
from recsys_pipeline.adapters.store.source_stores import SourceStores
from recsys_pipeline.adapters.wandb.mirror import Mirror
from recsys_pipeline.adapters.wandb.outbox import Entry, Outbox
from recsys_pipeline.adapters.wandb.replay import Replay
from recsys_pipeline.adapters.wandb.server import KeyRefusedError, ServerAwayError, base_url
from recsys_pipeline.adapters.wandb.tracker import ACCOUNT, WATCHED

logger = logging.getLogger("recsys_pipeline.wandb")

POLL_S = 0.3
IDLE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
LAST_TRIES_S = 15.0
"""After its parent's end, how long it goes on with what is left; a server that is away is asked once more only."""


class Parent:
    """The process that is followed."""

    def __init__(self, process_id: int) -> None:
        self.process_id = process_id
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def is_done(self) -> bool:
        """Whether it has said that nothing more comes, or is dead."""
        return self._closed.is_set() or not is_running(self.process_id)

    def _watch(self) -> None:
        while sys.stdin.buffer.read(4096):
            pass
        self._closed.set()


class LocalFollower:
    """Plays trainings and trials of one process into local W&B runs, so that `wandb leet` shows their curves."""

    def __init__(self, outbox: Outbox, directory: Path, owner: str) -> None:
        self.outbox = outbox
        self.directory = directory
        self.owner = owner
        self._live: dict[str, Replay] = {}
        self._done: set[str] = set()

    def step(self) -> bool:
        """Play what is new; whether there was any."""
        busy = False
        # What waits may be months of runs, and is looked at once.
        for entry in [*self.outbox.ready(skip=self._done), *self.outbox.running()]:
            if self._is_ours(entry):
                busy = True
                self._play(entry)
            elif entry.state:
                self._done.add(entry.facts.id)
        return busy

    def _is_ours(self, entry: Entry) -> bool:
        facts = entry.facts
        if facts.job_type not in WATCHED or not facts.process.startswith(f"{self.owner}~"):
            return False
        # A run that was played has its folder; the entry itself stays in the outbox until it is pushed.
        return facts.id in self._live or not any((self.directory / "wandb").glob(f"offline-run-*-{facts.id}"))

    def _play(self, entry: Entry) -> None:
        replay = self._live.get(entry.facts.id)
        if replay is None:
            replay = self._live[entry.facts.id] = Replay(entry, self.directory, online=False)
        replay.play(entry)
        if entry.state:
            replay.finish(entry.state)
            del self._live[entry.facts.id]
            self._done.add(entry.facts.id)

    def finish(self) -> None:
        """Play what came last."""
        self.step()


class OnlineFollower:
    """Plays all that is in the outbox to the server: what goes on as it grows, what ended until it is acknowledged."""

    def __init__(self, mirror: Mirror, directory: Path, stores: SourceStores) -> None:
        self.mirror = mirror
        self.directory = directory
        self.stores = stores
        self._live: dict[str, Replay] = {}
        self._pause_s: dict[str, float] = {}
        self._again_at: dict[str, float] = {}
        self._is_away = False

    def step(self) -> bool:
        """Play what is new; whether anything is still to come or to be sent."""
        self.mirror.outbox.take_in_crashed()
        now = time.monotonic()
        paused = {name for name, when in self._again_at.items() if when > now}
        for entry in [*self.mirror.outbox.ready(skip=paused), *self.mirror.outbox.running()]:
            if entry.facts.id not in paused:
                self._try(entry)
        return self.mirror.outbox.is_busy()

    def finish(self) -> None:
        """Send what is left for a while, and what no run of the outbox made."""
        deadline = time.monotonic() + LAST_TRIES_S
        self._again_at.clear()
        while self.step() and not self._is_away and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if self._is_away:
            return
        report = self.mirror.send_waiting(self.stores.sources(), logger.info)
        for name, reason in report.left:
            logger.warning("%s is left: %s", name, reason)

    def _try(self, entry: Entry) -> None:
        name = entry.facts.id
        try:
            self._play(entry)
            self._pause_s.pop(name, None)
            self._is_away = False
        except KeyRefusedError:
            raise
        except Exception as error:  # noqa: BLE001 (the client raises much; whatever it is, the entry stays)
            logger.warning("%s: %s: %s", entry.facts.name, type(error).__name__, error)
            self._is_away = isinstance(error, ServerAwayError)
            if replay := self._live.pop(name, None):
                replay.abandon()
            self._pause_s[name] = min(2 * self._pause_s.get(name, FIRST_PAUSE_S / 2), LONGEST_PAUSE_S)
            self._again_at[name] = time.monotonic() + self._pause_s[name]

    def _play(self, entry: Entry) -> None:
        if entry.facts.id not in self._live:
            for needed in self.mirror.missing_inputs(entry):
                self._play_one(needed)
        self._play_one(entry)

    def _play_one(self, entry: Entry) -> None:
        replay = self._live.get(entry.facts.id)
        if replay is None:
            replay = self._live[entry.facts.id] = self.mirror.begin(entry)
            self._note_account()
        replay.play(entry)
        if entry.state:
            self.mirror.complete(replay, entry)
            del self._live[entry.facts.id]

    def _note_account(self) -> None:
        path = self.directory / ACCOUNT
        if not path.exists():
            path.write_text(to_json({"server": base_url(), "entity": self.mirror.entity()}))


def follow(follower: LocalFollower | OnlineFollower, parent: Parent) -> None:
    """Play until the parent is done, or nothing happened for `IDLE_S`."""
    idle_since = time.monotonic()
    while not parent.is_done() and time.monotonic() - idle_since < IDLE_S:
        if follower.step():
            idle_since = time.monotonic()
        time.sleep(POLL_S)
    follower.finish()


def main() -> None:
    """Parse the command line and follow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--project", required=True)
    parser.add_argument("--stores", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--owner", required=True, help="the parent, as runs in the outbox name it")
    parser.add_argument("--online", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    os.nice(10)  # the run that is followed has the processor first
    parent, outbox = Parent(options.parent), Outbox(options.directory / "outbox")
    if not options.online:
        follow(LocalFollower(outbox, options.directory, options.owner), parent)
        return
    stores = SourceStores(options.stores, options.cache)
    mirror = Mirror(outbox, stores, options.project, options.directory / "sending")
    try:
        _follow_online(OnlineFollower(mirror, options.directory, stores), parent)
    except (KeyRefusedError, ServerAwayError) as error:
        logger.warning("%s; `recsys wandb push` sends what is left", error)


def _follow_online(follower: OnlineFollower, parent: Parent) -> None:
    """As the only mirror; another one that is at work sends for this parent too, and this one takes over after it."""
    while True:
        with follower.mirror.locked("live") as other:
            if not other:
                follow(follower, parent)
                return
        if parent.is_done():
            return
        time.sleep(1.0)


if __name__ == "__main__":
    main()
