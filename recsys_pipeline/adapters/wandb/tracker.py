"""Weights & Biases as a view of our own lineage: every tracked run goes through the outbox, and no run waits for W&B.

A run only appends to files (see `outbox`). A process beside this one plays them into W&B: live where a key is set
(`WANDB_API_KEY`, and `WANDB_MODE` does not object); else into local W&B runs, for trainings and trials only, which
`wandb leet` shows. Whatever the client does (absent, slow, broken, its server away), it does in that process.
"""

import atexit
import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.source_stores import SourceStores
from recsys_pipeline.adapters.wandb.names import artifact_url, readable_id, run_identity, run_url
from recsys_pipeline.adapters.wandb.outbox import FAILED, FINISHED, OpenEntry, Outbox, RunFacts, Stored
from recsys_pipeline.adapters.wandb.plan import facts_of_recipe
from recsys_pipeline.adapters.wandb.server import base_url, is_online

logger = logging.getLogger(__name__)

ACCOUNT = "account.json"
WATCHED = ("learning", "models")
"""Job types that have curves to watch while they run."""
LINK_WAIT_S = 5.0
"""The first link waits so long for the other process to learn whose account it is; later ones not at all."""
EXIT_WAIT_S = 20.0
"""A process that is online waits so long at its end for what was not sent yet; the rest is sent without it."""


@runtime_checkable
class TrackedRun(Protocol):
    """What training code may say to a tracker."""

    def log(self, metrics: Mapping[str, float | int]) -> None: ...

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def log_picture(self, name: str, png: bytes, caption: str = "") -> None: ...

    def log_artifact(self, artifact: Artifact) -> None: ...

    def alert(self, title: str, text: str) -> None: ...

    def alias(self, artifact: Artifact, alias: str) -> None: ...


class SilentRun:
    """Tracks nothing."""

    def log(self, metrics: Mapping[str, float | int]) -> None:
        """Forget the metrics."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Forget the table."""

    def log_picture(self, name: str, png: bytes, caption: str = "") -> None:
        """Forget the picture."""

    def log_artifact(self, artifact: Artifact) -> None:
        """Forget the artifact."""

    def alert(self, title: str, text: str) -> None:
        """Forget the alert."""

    def alias(self, artifact: Artifact, alias: str) -> None:
        """Forget the alias."""


class OutboxRun:
    """A run that is written to the outbox."""

    def __init__(self, entry: OpenEntry) -> None:
        self._entry = entry

    def log(self, metrics: Mapping[str, float | int]) -> None:
        """One step of metrics."""
        self._entry.add({"metrics": dict(metrics)})

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table that W&B can sort, filter and plot."""
        self._entry.add({"table": {"name": name, "columns": list(columns), "rows": [list(row) for row in rows]}})

    def log_picture(self, name: str, png: bytes, caption: str = "") -> None:
        """A picture, as PNG."""
        self._entry.add_picture(name, png, caption)

    def log_artifact(self, artifact: Artifact) -> None:
        """What the run made; the files stay in the store until they are sent."""
        self._entry.add({"output": dataclasses.asdict(Stored.of(artifact))})

    def alert(self, title: str, text: str) -> None:
        """Warn those who watch the project, by mail or chat as each has set."""
        self._entry.add({"alert": {"title": title, "text": text}})

    def alias(self, artifact: Artifact, alias: str) -> None:
        """Give an alias to an artifact that the run has among its inputs; W&B takes it from the one that had it."""
        self._entry.add({"alias": {"alias": alias, "of": dataclasses.asdict(Stored.of(artifact))}})


class Tracker:
    """Opens tracked runs whose outbox lies below `directory`; `stores` says where their artifacts lie."""

    def __init__(self, directory: Path, project: str, enabled: bool = True, stores: SourceStores | None = None) -> None:
        self.directory = directory
        self.project = project
        self.enabled = enabled and os.environ.get("WANDB_MODE") != "disabled"
        self.outbox = Outbox(directory / "outbox")
        self.stores = stores or SourceStores(str(directory.parent / "store"), directory.parent / "cache")
        self._follower: subprocess.Popen[bytes] | None = None
        self._closes_at_exit = False
        self._waited = False

    @contextmanager
    def run(
        self, name: str, job_type: str, config: Mapping[str, Any], group: str | None = None, *,
        inputs: Sequence[Artifact] = (), tags: Sequence[str] = (), run_id: str | None = None, sweep: str | None = None,
    ) -> Iterator[TrackedRun]:  # fmt: skip
        """A tracked run; what the body logs appears in W&B, now or when it is next pushed.

        `run_id` is its id in W&B (its name and something random where none is given); `sweep` the id of the W&B sweep
        that it is a trial of.
        """
        facts = RunFacts(
            id=run_id or readable_id(name, os.urandom(8).hex()), name=name, job_type=job_type, project=self.project,
            config=config, group=group, tags=tuple(tags), inputs=tuple(map(Stored.of, inputs)), sweep=sweep,
        )  # fmt: skip
        with self._open(facts) as run:
            yield run

    @contextmanager
    def asset_run(
        self, source: str, recipe: Recipe, dagster_run: str, origins: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[TrackedRun]:
        """The run that makes an artifact of the store of a source; its manifest leads to the same run in W&B."""
        with self._open(facts_of_recipe(source, recipe, dagster_run, self.project, origins)) as run:
            yield run

    def links(self, artifact: Artifact) -> dict[str, str]:
        """Pages of an artifact and of its run; none offline, or while it is not known whose account it is."""
        entity = self._entity() if self.enabled and is_online() else None
        if entity is None:
            return {}
        stored, manifest = Stored.of(artifact), artifact.manifest
        run_id = run_identity(stored.source, manifest.recipe, manifest.run_id)
        return {
            "W&B run": run_url(base_url(), entity, self.project, run_id),
            "W&B artifact": artifact_url(base_url(), entity, self.project, stored),
        }

    @contextmanager
    def _open(self, facts: RunFacts) -> Iterator[TrackedRun]:
        if not self.enabled:
            yield SilentRun()
            return
        entry = self.outbox.open(facts)
        if is_online() or facts.job_type in WATCHED:
            self._ensure_follower()
        try:
            yield OutboxRun(entry)
        except BaseException:
            entry.close(FAILED)
            raise
        entry.close(FINISHED)

    def _ensure_follower(self) -> None:
        """Start the process that plays the outbox into W&B, unless it is there."""
        if self._follower is not None and self._follower.poll() is None:
            return
        try:
            command = [
                sys.executable, "-m", "recsys_pipeline.adapters.wandb.follow", str(self.directory.absolute()),
                "--project", self.project, "--stores", self.stores.url, "--cache", str(self.stores.cache.absolute()),
                "--parent", str(os.getpid()), "--owner", self.outbox.processes.me(),
                *(["--online"] if is_online() else []),
            ]  # fmt: skip
            with (self.directory / "follow.log").open("ab") as log:
                # In a session of its own: Ctrl-C ends the run, and what it had done is still sent.
                self._follower = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            logger.warning("nothing is shown live in W&B (%s); `recsys wandb push` sends it later", error)
            return
        if not self._closes_at_exit:
            self._closes_at_exit = True
            atexit.register(lambda: self.close(EXIT_WAIT_S if is_online() else 0.0))

    def close(self, wait_s: float) -> None:
        """Tell the process beside this one that nothing more comes, and wait a while for what it still sends."""
        if self._follower is None or self._follower.stdin is None:
            return
        self._follower.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._follower.wait(wait_s)
            self._follower = None

    def _entity(self) -> str | None:
        if os.environ.get("WANDB_ENTITY"):
            return os.environ["WANDB_ENTITY"]
        deadline = time.monotonic() + (0 if self._waited else LINK_WAIT_S)
        self._waited = True
        while (account := read_account(self.directory)) is None:
            if time.monotonic() > deadline or self._follower is None or self._follower.poll() is not None:
                return None
            time.sleep(0.1)
        return account


def read_account(directory: Path) -> str | None:
    """The entity under which runs went to the server that is set now; None before the first went."""
    try:
        known = json.loads((directory / ACCOUNT).read_text())
        return known["entity"] if known["server"] == base_url() else None
    except (OSError, ValueError, KeyError):
        return None
