"""Weights & Biases as a view of our own lineage: offline unless a key is present, and never a reason to fail.

Whatever W&B does (absent, offline, broken, slow to start), a run goes on: each call is guarded, and the first
failure is logged with its reason and switches tracking off for the rest of that W&B run; where a run cannot even
start, none is tried again in this process (an unreachable server costs a minute and a half each time). The truth
about lineage is in the manifests; W&B's offline mode cannot record consumed artifacts, so inputs are also put in
each run's config.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from recsys_pipeline.adapters.store import Artifact

logger = logging.getLogger(__name__)

COPY_LIMIT_BYTES = 50_000_000
"""Larger artifacts go to W&B by reference, because offline mode keeps a second copy of every file."""


@runtime_checkable
class TrackedRun(Protocol):
    """What training code may say to a tracker."""

    def log(self, metrics: Mapping[str, float | int]) -> None: ...

    def log_artifact(self, artifact: Artifact) -> None: ...

    def alert(self, title: str, text: str) -> None: ...


class SilentRun:
    """Tracks nothing; used where tracking is off, and after a failure."""

    def log(self, metrics: Mapping[str, float | int]) -> None:
        """Forget the metrics."""

    def log_artifact(self, artifact: Artifact) -> None:
        """Forget the artifact."""

    def alert(self, title: str, text: str) -> None:
        """Forget the alert."""


class WandbRun:
    """One W&B run whose failures are logged once and then silence it."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, metrics: Mapping[str, float | int]) -> None:
        """Log one step of metrics."""
        self._guarded(lambda run: run.log(dict(metrics)))

    def log_artifact(self, artifact: Artifact) -> None:
        """Log an artifact with its manifest as metadata; its W&B type is its stage."""
        self._guarded(lambda run: run.log_artifact(_to_wandb_artifact(artifact), aliases=_aliases(artifact)))

    def alert(self, title: str, text: str) -> None:
        """Warn those who watch the project, by mail or chat as each has set; offline it stays in the run's file."""
        self._guarded(lambda run: run.alert(title=title, text=text, level="WARN"))

    def finish(self) -> None:
        """End the run."""
        self._guarded(lambda run: run.finish())

    def _guarded(self, call: Callable[[Any], Any]) -> None:
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:  # noqa: BLE001 (a tracker never fails a run, whatever it raises)
            logger.warning("W&B failed (%s: %s); this run goes on untracked", type(error).__name__, error)
            self._run = None


class Tracker:
    """Opens W&B runs below `directory`; online only where `WANDB_API_KEY` is set and `WANDB_MODE` does not object."""

    def __init__(self, directory: Path, project: str, enabled: bool = True) -> None:
        self.directory = directory
        self.project = project
        self.enabled = enabled and os.environ.get("WANDB_MODE") != "disabled"

    @contextmanager
    def run(self, name: str, job_type: str, config: dict[str, Any], group: str | None = None) -> Iterator[TrackedRun]:
        """A tracked run; metrics that the body logs appear in W&B, failures of W&B appear in the log."""
        run = self._open(name, job_type, config, group) if self.enabled else None
        if run is None:
            yield SilentRun()
            return
        tracked = WandbRun(run)
        try:
            yield tracked
        finally:
            tracked.finish()

    def _open(self, name: str, job_type: str, config: dict[str, Any], group: str | None) -> Any:
        try:
            # W&B's own telemetry goes out even from offline runs unless this is off.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
            import wandb

            self.directory.mkdir(parents=True, exist_ok=True)
            os.environ.setdefault("WANDB_DATA_DIR", str(self.directory.absolute()))
            os.environ.setdefault("WANDB_SILENT", "true")
            online = "WANDB_API_KEY" in os.environ and os.environ.get("WANDB_MODE", "online") == "online"
            return wandb.init(
                project=self.project,
                name=name,
                job_type=job_type,
                group=group,
                config=config,
                dir=str(self.directory),
                mode="online" if online else "offline",
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
            )
        except Exception as error:  # noqa: BLE001 (a tracker never fails a run, whatever it raises)
            logger.warning(
                "W&B did not start for %s (%s: %s); this process goes on untracked", name, type(error).__name__, error
            )
            self.enabled = False
            return None


def _to_wandb_artifact(artifact: Artifact) -> Any:
    import wandb

    recipe = artifact.manifest.recipe
    stage = recipe.key.split("/")[0]
    metadata = {
        "partition": recipe.partition,
        "digest": artifact.manifest.digest,
        "inputs": [vars(ref) for ref in recipe.inputs],
        **artifact.manifest.metrics,
    }
    entry = wandb.Artifact(recipe.key.replace("/", "-"), type=stage, metadata=metadata)
    size = sum(file["bytes"] for file in artifact.manifest.files.values())
    if size <= COPY_LIMIT_BYTES:
        entry.add_dir(str(artifact.path))
    else:
        entry.add_file(str(artifact.path / "manifest.json"))
        entry.add_reference(artifact.path.absolute().as_uri(), name="files", checksum=False)
    return entry


def _aliases(artifact: Artifact) -> list[str]:
    return ["latest", artifact.manifest.recipe.partition]
