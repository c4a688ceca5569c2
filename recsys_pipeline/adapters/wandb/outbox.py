"""The outbox: every tracked run that Weights & Biases has not acknowledged, as plain files beside the store.

    <folder>/open/<id>/       a run that goes on: run.json, events.jsonl, pictures
    <folder>/ready/<id>/      a run that ended and waits to be sent
    <folder>/sent/<id>.json   what a server acknowledged
    <folder>/broken/<id>/     what cannot be read; nothing is lost with it but curves
    <folder>/processes/       locks of the processes whose runs go on

A run appends and never waits: no lock, no network, no sync to disk. Whatever goes wrong here is logged once and costs
that run's entry; the manifests are the truth, and the mirror makes entries from them where there are none.
"""

import dataclasses
import json
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.store.manifest import to_json
from recsys_pipeline.adapters.store.processes import Processes
from recsys_pipeline.adapters.wandb.event_file import Event, append_event, read_events
from recsys_pipeline.core.keys import ArtifactRef

logger = logging.getLogger(__name__)

RUN, EVENTS = "run.json", "events.jsonl"
NEW = ".new~"
FINISHED, FAILED, CRASHED = "finished", "failed", "crashed"


@dataclass(frozen=True, order=True)
class Stored:
    """A version of an artifact in the store of a source; `version` is empty where only its content is known."""

    source: str
    key: str
    partition: str
    digest: str
    version: str = ""

    @classmethod
    def of(cls, artifact: Artifact) -> "Stored":
        """Where an artifact lies, from its path: `<root>/<source>/<key>/<partition>/<version>`."""
        ref = artifact.manifest.ref
        source = artifact.path.absolute().parents[1 + len(ref.key.split("/"))].name
        return cls(source, ref.key, ref.partition, ref.digest, artifact.path.name)

    @property
    def ref(self) -> ArtifactRef:
        """As manifests name it."""
        return ArtifactRef(self.key, self.partition, self.digest)

    @property
    def content(self) -> "Stored":
        """The same without the version: what an input is known by."""
        return dataclasses.replace(self, version="")


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it starts; `id` is its id in W&B too."""

    id: str
    name: str
    job_type: str
    project: str
    config: Mapping[str, Any]
    group: str | None = None
    tags: tuple[str, ...] = ()
    inputs: tuple[Stored, ...] = ()
    sweep: str | None = None
    process: str = ""
    opened_at: str = ""

    @classmethod
    def parse(cls, text: str) -> "RunFacts":
        """The facts in a run.json; raises `ValueError`, `TypeError` or `KeyError` where it is none."""
        raw = json.loads(text)
        inputs = tuple(Stored(**stored) for stored in raw.pop("inputs"))
        return cls(inputs=inputs, tags=tuple(raw.pop("tags")), **raw)


@dataclass(frozen=True)
class Entry:
    """A run as it is to be sent: its facts and what happened in it, in order; `folder` holds its pictures."""

    facts: RunFacts
    events: tuple[Event, ...]
    folder: Path | None = field(default=None, compare=False)

    @property
    def outputs(self) -> tuple[Stored, ...]:
        """The artifacts that it made."""
        return tuple(Stored(**event["output"]) for event in self.events if "output" in event)

    @property
    def state(self) -> str | None:
        """How it ended; None while it goes on."""
        return next((event["ended"] for event in self.events if "ended" in event), None)


class OpenEntry:
    """The entry of a run that goes on; the first failure to write is logged, and the entry given up."""

    def __init__(self, outbox: "Outbox", facts: RunFacts) -> None:
        self.facts = facts
        self._outbox = outbox
        self._lock = threading.Lock()
        self._pictures = 0
        self._folder: Path | None = outbox.open_folder / facts.id
        self._write(self._begin)

    def add(self, event: Event) -> None:
        """Append what happened; it is there for readers at once."""
        self._write(lambda folder: append_event(folder / EVENTS, event))

    def add_picture(self, name: str, png: bytes, caption: str) -> None:
        """Keep a picture beside the events."""

        def write(folder: Path) -> None:
            self._pictures += 1
            file = f"{self._pictures}.png"
            (folder / file).write_bytes(png)
            append_event(folder / EVENTS, {"picture": {"name": name, "file": file, "caption": caption}})

        self._write(write)

    def close(self, state: str) -> None:
        """The run ended: its entry is ready to be sent."""

        def write(folder: Path) -> None:
            append_event(folder / EVENTS, {"ended": state})
            self._outbox.move_to_ready(folder)

        self._write(write)
        self._folder = None

    def _begin(self, folder: Path) -> None:
        """All at once, so that nobody meets a folder without its run.json."""
        self.facts = dataclasses.replace(self.facts, process=self._outbox.processes.new_name())
        new = folder.with_name(f"{NEW}{self.facts.process}")
        new.mkdir(parents=True)
        (new / RUN).write_text(to_json(dataclasses.asdict(self.facts), indent=1), encoding="utf-8")
        new.rename(folder)

    def _write(self, write: Callable[[Path], None]) -> None:
        with self._lock:
            if self._folder is None:
                return
            try:
                write(self._folder)
            except (TypeError, ValueError) as error:
                logger.warning("%s: something is not tracked, because it is no JSON: %s", self.facts.name, error)
            except OSError as error:
                logger.warning(
                    "%s is tracked no further: %s cannot be written (%s); what it makes is mirrored from its manifest",
                    self.facts.name, self._folder, error,
                )  # fmt: skip
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None


class Outbox:
    """The folders, and what is in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open_folder = folder / "open"
        self.ready_folder = folder / "ready"
        self.sent_folder = folder / "sent"
        self.broken_folder = folder / "broken"
        self.processes = Processes(folder / "processes")

    def open(self, facts: RunFacts) -> OpenEntry:
        """Begin an entry; another attempt at the same run gets an id of its own."""
        run_id, attempt = facts.id, 1
        while any(path.exists() for path in self._places(run_id)):
            attempt += 1
            run_id = f"{facts.id}-{attempt}"
        now = datetime.now(UTC).isoformat()
        return OpenEntry(self, dataclasses.replace(facts, id=run_id, opened_at=now))

    def _places(self, run_id: str) -> tuple[Path, ...]:
        return self.open_folder / run_id, self.ready_folder / run_id, self.sent_folder / f"{run_id}.json"

    def ready(self, skip: Collection[str] = ()) -> list[Entry]:
        """What waits to be sent; by opening time, which decides nothing where one run used what another made.

        Entries whose ids are in `skip` are not read.
        """
        folders = [folder for folder in _folders(self.ready_folder) if folder.name not in skip]
        entries = [entry for folder in folders if (entry := self._read(folder))]
        return sorted(entries, key=lambda entry: (entry.facts.opened_at, entry.facts.id))

    def running(self) -> list[Entry]:
        """Runs that go on, as far as they have come."""
        return [entry for folder in _folders(self.open_folder) if (entry := read_entry(folder))]

    def holds(self, run_id: str) -> bool:
        """Whether this run goes on or waits."""
        return any(path.exists() for path in self._places(run_id)[:2])

    def is_busy(self) -> bool:
        """Whether any run goes on or waits."""
        return bool(_folders(self.open_folder) or _folders(self.ready_folder))

    def take_in_crashed(self) -> None:
        """Make ready what dead processes left open."""
        for folder in self.open_folder.glob(f"{NEW}*"):
            if self.processes.is_abandoned(folder.name.removeprefix(NEW), folder):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in _folders(self.open_folder):
            entry = read_entry(folder)
            if entry is None or not self.processes.is_abandoned(entry.facts.process, folder):
                continue
            if entry.state is None:
                with (folder / EVENTS).open("a", encoding="utf-8") as stream:
                    # On a line of its own: the dead process may have left half of one.
                    stream.write("\n" + to_json({"ended": CRASHED}) + "\n")
            self.move_to_ready(folder)
        self.processes.forget_killed()

    def move_to_ready(self, folder: Path) -> None:
        """An open entry becomes one that waits."""
        self.ready_folder.mkdir(parents=True, exist_ok=True)
        folder.rename(self.ready_folder / folder.name)

    def acknowledge(self, entry: Entry, target: str, url: str) -> None:
        """Note that a server has the run and its artifacts, and let the entry go; killed in between, both stay."""
        self.sent_folder.mkdir(parents=True, exist_ok=True)
        outputs = [dataclasses.asdict(output) for output in entry.outputs]
        temporary = self.sent_folder / f".{entry.facts.id}"
        temporary.write_text(to_json({"target": target, "url": url, "outputs": outputs}))
        temporary.replace(self.sent_folder / f"{entry.facts.id}.json")
        if entry.folder is not None:
            shutil.rmtree(entry.folder, ignore_errors=True)

    def let_go(self, entries: Iterable[Entry]) -> None:
        """Forget runs that wait; manifests still tell what they made."""
        for entry in entries:
            if entry.folder is not None:
                shutil.rmtree(entry.folder, ignore_errors=True)

    def acknowledged(self, target: str) -> set[Stored]:
        """The artifacts that a server has."""
        found: set[Stored] = set()
        for path in self.sent_folder.glob("[!.]*.json"):
            record = json.loads(path.read_text())
            if record["target"] == target:
                found |= {Stored(**output) for output in record["outputs"]}
        return found

    def is_acknowledged(self, run_id: str, target: str) -> bool:
        """Whether a server has this run."""
        path = self.sent_folder / f"{run_id}.json"
        return path.exists() and json.loads(path.read_text())["target"] == target

    def _read(self, folder: Path) -> Entry | None:
        entry = read_entry(folder)
        if entry is None and folder.exists():
            logger.warning("%s cannot be read and is put away: its artifacts are mirrored from their manifests", folder)
            self.broken_folder.mkdir(parents=True, exist_ok=True)
            folder.rename(self.broken_folder / f"{folder.name}~{uuid.uuid4().hex[:12]}")
        return entry


def read_entry(folder: Path) -> Entry | None:
    """The entry in a folder, as far as it was written; None where there is no readable one."""
    try:
        facts = RunFacts.parse((folder / RUN).read_text(encoding="utf-8"))
        return Entry(facts, tuple(read_events(folder / EVENTS)), folder)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
