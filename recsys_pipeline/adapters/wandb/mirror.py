"""Sends what the outbox and the manifests hold to Weights & Biases, each thing once, and says what is left.

Who is killed at any moment loses nothing: ids of runs, digests of artifacts and numbers of steps are the same when the
entry is sent again, so that the server meets what it has. A run counts as sent when the server, asked anew, says so.
"""

import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recsys_pipeline.adapters.store.locks import exclusive
from recsys_pipeline.adapters.wandb.artifacts import LATEST, aliases_of, newest_of, note_of_absence, to_wandb_artifact
from recsys_pipeline.adapters.wandb.names import run_url
from recsys_pipeline.adapters.wandb.outbox import FINISHED, Entry, Outbox, Stored
from recsys_pipeline.adapters.wandb.plan import Plan, Stores, unsent_entries
from recsys_pipeline.adapters.wandb.replay import Replay, history_lines
from recsys_pipeline.adapters.wandb.server import KeyRefusedError, ServerAwayError, WandbError, WandbServer, base_url

logger = logging.getLogger(__name__)

TRIES = 3
BACKOFF_S = 1.0
"""Doubled after every try, plus up to half of it at random; a longer wait that a server asks for counts instead."""
LONGEST_WAIT_S = 60.0
ACKNOWLEDGED_WITHIN_S = 20.0
"""A server may take a moment to count the lines that it took."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a push did: names of runs that were sent, and of those that are left with the reason.

    `at_work` names the process that was pushing already, in which case nothing else was done.
    """

    sent: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    at_work: str = ""


class Held:
    """The artifacts that a server has, by version and by content."""

    def __init__(self) -> None:
        self.versions: set[Stored] = set()
        self.contents: set[Stored] = set()

    def add(self, outputs: Iterable[Stored]) -> None:
        """The server has these too."""
        for output in outputs:
            self.versions.add(output)
            self.contents.add(output.content)

    def has_version(self, stored: Stored) -> bool:
        """Whether this version is there, whatever is known of its digest."""
        same = (stored.source, stored.key, stored.partition, stored.version)
        return any((one.source, one.key, one.partition, one.version) == same for one in self.versions)


class Mirror:
    """The way from an outbox to the server that W&B's variables name; the client writes into `folder` meanwhile."""

    def __init__(self, outbox: Outbox, stores: Stores, project: str, folder: Path) -> None:
        self.outbox = outbox
        self.project = project
        self.folder = folder
        self._stores = stores
        self._entity = ""
        self._held: dict[str, Held] = {}
        self._newest: dict[tuple[str, str], Stored | None] = {}

    def waiting(self, sources: Iterable[str]) -> list[Entry]:
        """Everything that the server lacks, in the order in which it is sent; asks nobody but the disk."""
        self._held.clear()
        self._newest.clear()
        ready = self.outbox.ready()
        entries = list(ready)
        covered = self._held_in(self.project).versions | {output for entry in ready for output in entry.outputs}
        for entry in self.outbox.running():
            covered |= set(entry.outputs)
        for source in sources:
            entries += unsent_entries(self._stores(source), source, self.project, covered)
        projects = dict.fromkeys(entry.facts.project for entry in entries)
        return [entry for project in projects for entry in self._ordered(entries, project)]

    def push(self, sources: Iterable[str], say: Say = logger.info) -> Report:
        """Send all that waits; raises `KeyRefusedError` where the key is no good.

        A server that is away ends the push early, since every further run would wait for it too.
        """
        with self.locked("push") as other:
            if other:
                return Report(at_work=other)
            return self.send_waiting(sources, say)

    def send_waiting(self, sources: Iterable[str], say: Say) -> Report:
        """A push by who holds the lock already."""
        self.outbox.take_in_crashed()
        self._clear_of_killed()
        waiting = self.waiting(sources)
        return self._send_all(waiting, say) if waiting else Report()

    def _clear_of_killed(self) -> None:
        """Delete what a client wrote that was killed as it sent, of runs that wait no more."""
        for left in self.folder.iterdir() if self.folder.is_dir() else ():
            if not self.outbox.holds(left.name):
                shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def locked(self, what: str) -> Iterator[str]:
        """Keep other mirrors out; gives who is at work where somebody is."""
        with exclusive(self.outbox.folder / "mirror.lock", what) as other:
            yield other

    def _send_all(self, waiting: list[Entry], say: Say) -> Report:
        sent: list[str] = []
        left: dict[str, tuple[str, str]] = {}
        missing: set[Stored] = set()
        for number, entry in enumerate(waiting):
            needs = [stored for stored in entry.facts.inputs if stored.content in missing]
            try:
                if needs:
                    raise WandbError(f"waits for {needs[0].key}@{needs[0].partition}, which could not be sent")
                self.send(entry)
                sent.append(entry.facts.name)
                say(f"{number + 1}/{len(waiting)}  {entry.facts.name}")
            except KeyRefusedError:
                raise
            except ServerAwayError as error:
                rest = waiting[number:]
                left |= {other.facts.id: (other.facts.name, str(error)) for other in rest}
                break
            except WandbError as error:
                left[entry.facts.id] = (entry.facts.name, str(error))
                missing |= {output.content for output in entry.outputs}
                say(f"{number + 1}/{len(waiting)}  {entry.facts.name}: {error}")
        return Report(tuple(sent), tuple(left.values()))

    def send(self, entry: Entry) -> None:
        """Send one run whose inputs are on the server, with retries.

        Raises `ServerAwayError` or `KeyRefusedError` where that is why, else `WandbError` with the client's reason.
        """
        for attempt in range(1, TRIES + 1):
            try:
                self._send_once(entry)
                return
            except Exception as error:  # noqa: BLE001 (the client raises much; whatever it is, the entry stays)
                wait_s = self._reason_to_wait(error, BACKOFF_S * 2**attempt / 2, last=attempt == TRIES)
            time.sleep(wait_s)

    def _reason_to_wait(self, error: Exception, wait_s: float, last: bool) -> float:
        """How long to wait before the next try; raises why there is none."""
        try:
            self._entity = WandbServer.configured().account()
        except ServerAwayError as away:
            if last:
                raise
            wait_s = max(wait_s, min(away.retry_after_s, LONGEST_WAIT_S))
        if last:
            raise WandbError(f"{type(error).__name__}: {error}") from error
        return wait_s * random.uniform(1, 1.5)

    def _send_once(self, entry: Entry) -> None:
        replay = self.begin(entry)
        try:
            replay.play(entry)
            self.complete(replay, entry)
        except BaseException:
            replay.abandon()
            raise

    def begin(self, entry: Entry) -> Replay:
        """Open the run in W&B and record what it read; the inputs must be there, or be nowhere."""
        replay = Replay(entry, self.folder / entry.facts.id, online=True, entity=self.entity())
        plan = self._plan([], entry.facts.project)
        try:
            for stored in entry.facts.inputs:
                if plan.is_absent(stored, entry):
                    replay.run.use_artifact(note_of_absence(stored, "its manifest is gone from the store"))
                else:
                    replay.use([stored])
        except BaseException:
            replay.abandon()
            raise
        return replay

    def complete(self, replay: Replay, entry: Entry) -> None:
        """Upload what the run made, close it, and let its entry go once the server confirms."""
        for output in entry.outputs:
            store, newest = self._stores(output.source), self._newest_of(output)
            aliases = aliases_of(store, output, newest)
            replay.log_output(to_wandb_artifact(store, output), aliases)
            # W&B calls latest what was logged last; to people it is the newest day, if the server has that.
            if LATEST not in aliases and newest and self._held_in(entry.facts.project).has_version(newest):
                replay.move_alias(newest, LATEST)
        replay.finish(entry.state or FINISHED)
        self._confirm(entry)
        project = entry.facts.project
        url = run_url(base_url(), self.entity(), project, entry.facts.id)
        self.outbox.acknowledge(entry, self._target(project), url)
        self._held_in(project).add(entry.outputs)
        shutil.rmtree(self.folder / entry.facts.id, ignore_errors=True)

    def entity(self) -> str:
        """Under whose name runs go, asked once."""
        if not self._entity:
            self._entity = WandbServer.configured().account()
        return self._entity

    def missing_inputs(self, entry: Entry) -> list[Entry]:
        """What must be sent before this run can be, in order, and not the run itself."""
        plan = self._plan(self.outbox.ready(), entry.facts.project)
        return [needed for needed in plan.in_order([entry]) if needed.facts.id != entry.facts.id]

    def _confirm(self, entry: Entry) -> None:
        server, lines = WandbServer.configured(), history_lines(entry)
        deadline, pause_s = time.monotonic() + ACKNOWLEDGED_WITHIN_S, 0.05
        while True:
            try:
                status = server.run(self.entity(), entry.facts.project, entry.facts.id)
            except ServerAwayError:  # it had all of it a moment ago, most likely: sending it again would cost more
                if time.monotonic() > deadline:
                    raise
            else:
                if status and status.state != "running" and status.history_lines >= lines:
                    return
                if time.monotonic() > deadline:
                    has = f"{status.history_lines} of {lines} steps, {status.state}" if status else "no such run"
                    raise WandbError(f"{server.url} did not take all of it ({has})")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    def _ordered(self, entries: list[Entry], project: str) -> list[Entry]:
        own = [entry for entry in entries if entry.facts.project == project]
        return list(self._plan(own, project).in_order(own))

    def _plan(self, entries: list[Entry], project: str) -> Plan:
        return Plan(
            [entry for entry in entries if entry.facts.project == project],
            self._held_in(project).contents, self._stores,
        )  # fmt: skip

    def _held_in(self, project: str) -> "Held":
        """What the server acknowledged, read once: nobody adds to it but who holds the lock."""
        if project not in self._held:
            self._held[project] = Held()
            self._held[project].add(self.outbox.acknowledged(self._target(project)))
        return self._held[project]

    def _newest_of(self, output: Stored) -> Stored | None:
        """The newest partition's version, looked up again only where a newer one turns up."""
        name = (output.source, output.key)
        known = self._newest.get(name)
        if known is None or output.partition >= known.partition:
            self._newest[name] = newest_of(self._stores(output.source), output.key)
        return self._newest[name]

    def _target(self, project: str) -> str:
        return f"{base_url()} {os.environ.get('WANDB_ENTITY', '')} {project}"
