"""One tracked run, played into Weights & Biases by its own client: live while it goes on, or afterwards."""

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.wandb.event_file import Event
from recsys_pipeline.adapters.wandb.names import artifact_name, content_alias
from recsys_pipeline.adapters.wandb.outbox import CRASHED, FINISHED, Entry, Stored

logger = logging.getLogger(__name__)

PATIENCE: dict[str, Any] = {
    "init_timeout": 45.0,
    "finish_timeout": 120.0,
    "x_file_stream_transmit_interval": 2.0,
    "x_graphql_timeout_seconds": 20.0,
    "x_graphql_retry_max": 3,
    "x_graphql_retry_wait_min_seconds": 1.0,
    "x_graphql_retry_wait_max_seconds": 4.0,
    "x_file_stream_timeout_seconds": 20.0,
    "x_file_stream_retry_max": 3,
    "x_file_stream_retry_wait_min_seconds": 1.0,
    "x_file_stream_retry_wait_max_seconds": 4.0,
    "x_file_transfer_retry_max": 3,
    "x_file_transfer_retry_wait_min_seconds": 1.0,
    "x_file_transfer_retry_wait_max_seconds": 4.0,
}
"""What the client waits for at most, in seconds and tries; its own defaults go on for hours. We come back ourselves.

Whole seconds only: its core cuts the rest off, and takes 0 for its default (15 s between two posts of a run's history).
W&B's variables (`WANDB_INIT_TIMEOUT`, `WANDB_X_GRAPHQL_RETRY_MAX`, …) win.
"""
UPLOAD_S = 900
"""An artifact of `COPY_LIMIT_BYTES` takes so long at 0.5 Mbit/s."""


class Replay:
    """Plays the events of an entry, each once, however often it is called with a longer entry.

    Steps are numbered by their place in the entry, so that a run that was sent in part goes on where the server's
    history ends.
    """

    def __init__(self, entry: Entry, folder: Path, online: bool, entity: str | None = None) -> None:
        self.folder = folder
        self.online = online
        self.played = 0
        self.step = 0
        self.run = _start(entry, folder, online, entity)

    def use(self, inputs: Iterable[Stored]) -> None:
        """Record what the run read; each must be in W&B already."""
        for stored in inputs:
            self.run.use_artifact(f"{artifact_name(stored)}:{content_alias(stored)}")

    def play(self, entry: Entry) -> None:
        """What happened since the last call."""
        for event in entry.events[self.played :]:
            self._play(event, entry.folder)
            self.played += 1

    def log_output(self, draft: Any, aliases: list[str]) -> None:
        """Upload an artifact and wait until the server has all of it."""
        self.run.log_artifact(draft, aliases=aliases).wait(timeout=UPLOAD_S)

    def move_alias(self, stored: Stored, alias: str) -> None:
        """Give an alias to an artifact that the server has."""
        import wandb

        api = wandb.Api(overrides={"entity": self.run.entity, "project": self.run.project})
        name = f"{self.run.entity}/{self.run.project}/{artifact_name(stored)}:{content_alias(stored)}"
        artifact = api.artifact(name)
        artifact.aliases.append(alias)
        artifact.save()

    def finish(self, state: str) -> None:
        """Close the run; a crashed one says so in its tags, because clients can only say finished or failed."""
        if state == CRASHED:
            self.run.tags = (*(self.run.tags or ()), CRASHED)
        self.run.finish(exit_code=0 if state == FINISHED else 1)
        if self.online:  # all of it is on the server; what an offline run wrote is what people look at
            shutil.rmtree(self.folder, ignore_errors=True)

    def abandon(self) -> None:
        """Leave the run as it is; whoever replays its entry again goes on with it."""
        try:
            self.run.finish(exit_code=1)
        except Exception as error:  # noqa: BLE001 (what went wrong before is the news; this most often follows from it)
            logger.info("%s could not be closed: %s: %s", self.folder.name, type(error).__name__, error)

    def _play(self, event: Event, folder: Path | None) -> None:
        if "alert" in event:
            self.run.alert(**event["alert"], level="WARN")
            return
        if "alias" in event:
            if self.online:  # offline there is nothing yet to name
                self.move_alias(Stored(**event["alias"]["of"]), event["alias"]["alias"])
            return
        row = self._row(event, folder)
        if row is None:
            return
        if self.step >= self.run.starting_step:
            when = {"_timestamp": event["at"]} if "at" in event else {}
            self.run.log({**row, **when}, step=self.step, commit=True)
        self.step += 1

    def _row(self, event: Event, folder: Path | None) -> dict[str, Any] | None:
        import wandb

        if "metrics" in event:
            return event["metrics"]
        if "table" in event:
            table = event["table"]
            return {table["name"]: wandb.Table(columns=table["columns"], data=table["rows"])}
        if "picture" in event and folder is not None:
            picture = event["picture"]
            return {picture["name"]: wandb.Image(str(folder / picture["file"]), caption=picture["caption"])}
        return None


def history_lines(entry: Entry) -> int:
    """How many lines the run's history has when all of it arrived."""
    return sum(any(kind in event for kind in ("metrics", "table", "picture")) for event in entry.events)


def _start(entry: Entry, folder: Path, online: bool, entity: str | None) -> Any:
    # W&B's own telemetry goes out even from offline runs unless this is off.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", str(folder.absolute()))
    import wandb

    facts = entry.facts
    patience = {name: value for name, value in PATIENCE.items() if f"WANDB_{name.upper()}" not in os.environ}
    settings = wandb.Settings(
        silent=True, console="off", disable_git=True, disable_code=True, disable_job_creation=True,
        x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False, finish_timeout_raises=True,
        sweep_id=facts.sweep, **patience,
    )  # fmt: skip
    return wandb.init(
        entity=entity, project=facts.project, id=facts.id, name=facts.name, job_type=facts.job_type,
        group=facts.group, tags=list(facts.tags), config=dict(facts.config), dir=str(folder),
        mode="online" if online else "offline", resume="allow" if online else None, reinit="create_new",
        settings=settings,
    )  # fmt: skip
