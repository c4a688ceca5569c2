"""A deployment of the tiny marketplace in a folder of its own, driven in this process through the real commands."""

import atexit
import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from recsys_pipeline import settings as settings_module
from recsys_pipeline.adapters.at_a_shell import typed
from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline_tests.support.quick_records import quicken

quicken()

DAY, NEXT_DAY = "2026-01-12", "2026-01-13"
DAGSTER_YAML = "telemetry:\n  enabled: false\n"
TINY_MODELS = {
    "dataset/looks.image_size": 16,
    "models/als.embedding_size": 7,
    "models/als.epochs": 3,
    "models/cold_start.hidden_size": 4,
    "models/cold_start.epochs": 5,
    "models/cold_start.n_folds": 2,
    "models/stl.widths": [4, 8],
    "models/stl.embedding_size": 8,
    "models/stl.epochs": 2,
    "reports/day_by_day.ages_days": [0, 7],
    "reports/day_by_day.first_days": 2,
    "reports/day_by_day.n_resamples": 50,
    "reports/new_items.n_resamples": 50,
    "reports/parity.n_resamples": 50,
    "reports/parity.max_gap": 1.0,
    "reports/ranking.n_resamples": 50,
    "reports/off_policy.n_resamples": 20,
    "reports/looks.n_resamples": 50,
    "serving/champion.promote": "auto",
}
"""Launchpad fields with which a whole batch takes seconds; what is tested here does not depend on quality. They are no
deployment's, and are served all the same."""


def as_flags(fields: dict[str, Any]) -> list[str]:
    """Launchpad fields as arguments of `recsys run`."""
    return [part for name, value in fields.items() for part in ("--set", f"{name}={json.dumps(value)}")]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Deployment:
    """Everything that one deployment keeps lies below `home`; other environment variables are `environment`."""

    home: Path
    environment: tuple[tuple[str, str], ...] = (("WANDB_MODE", "disabled"),)
    wrap: Callable[[Source], Source] = lambda source: source
    """Puts something before the source that the settings name, to make it misbehave."""

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Settings, source and Dagster instance of this deployment; those of the process come back afterwards."""
        import recsys_pipeline.definitions  # before anything is patched: it keeps what it finds at its first import

        assert recsys_pipeline.definitions
        dagster_home = self.home / "dagster"
        if not dagster_home.is_dir():
            _make_dagster_home(dagster_home)
        values = {"RECSYS_HOME": str(self.home / "data"), "DAGSTER_HOME": str(dagster_home), **dict(self.environment)}
        with mock.patch.dict(os.environ, values):
            for name in ("RECSYS_STORE", "WANDB_DATA_DIR"):
                os.environ.pop(name, None)
            _forget_settings()
            source = self.wrap(open_source(settings_module.settings()))
            try:
                with mock.patch("recsys_pipeline.defs.resources.configured_source", return_value=source):
                    yield
            finally:
                _forget_settings()

    def recsys(self, *arguments: str) -> Outcome:
        """Run the command line in this process, so that what JAX compiled once serves all tests."""
        from recsys_pipeline.cli import main

        printed, steps = io.StringIO(), logging.getLogger("recsys_pipeline.steps")
        handlers = list(steps.handlers)
        with self.active(), contextlib.redirect_stdout(printed):
            try:
                code = main(list(arguments))
            finally:
                steps.handlers[:] = handlers
        return Outcome(code, " ".join(printed.getvalue().split()))

    def batch(self, day: str = DAY, *flags: str) -> Outcome:
        """`recsys run batch_daily` with small models."""
        return self.recsys("run", "batch_daily", day, *as_flags(TINY_MODELS), *flags)

    def materialize(self, *keys: str, day: str = DAY, **config: dict[str, Any]) -> dg.ExecuteInProcessResult:
        """Run only these assets; `config` maps `stage__subject` to Launchpad fields. Failures are in the result.

        What passes the gate is served, whatever its settings, unless `serving__champion` says otherwise. Files may lie
        anywhere, as where somebody types a command.
        """
        from recsys_pipeline.definitions import defs

        if "serving/champion" in keys:
            config = {"serving__champion": {"promote": "auto"}, **config}
        job = defs.resolve_implicit_global_asset_job_def()
        settings = {
            "ops": {name: {"config": fields} for name, fields in config.items()},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        selection = [dg.AssetKey.from_user_string(key) for key in keys]
        with self.active(), typed("materialize"), dg.DagsterInstance.get() as instance:
            return job.execute_in_process(
                settings, instance=instance, asset_selection=selection, partition_key=day, raise_on_error=False
            )

    @property
    def store(self) -> ArtifactStore:
        """The store of the marketplace."""
        data = self.home / "data"
        return ArtifactStore(str(data / "store" / "simulator-tiny"), cache=data / "cache" / "simulator-tiny")

    def artifacts(self, day: str) -> dict[str, Artifact]:
        """What is current for a day, by key."""
        return {key: artifact for (key, name), artifact in self.everything().items() if name == day}

    def everything(self) -> dict[tuple[str, str], Artifact]:
        """Every current artifact, by key and partition."""
        root, store = Path(self.store.root), self.store
        found = {}
        for pointer in sorted(root.rglob(POINTER_NAME)):
            key, partition = pointer.parent.parent.relative_to(root).as_posix(), pointer.parent.name
            found[key, partition] = store.get(key, partition)
        return found

    def digests(self, day: str) -> dict[str, str]:
        """Digest of everything that is current for a day."""
        return {key: artifact.manifest.digest for key, artifact in self.artifacts(day).items()}


def versions(root: Path) -> list[Artifact]:
    """Every version in a store's folder, current or not."""
    manifests = (path for path in root.rglob(MANIFEST_NAME) if ".staging" not in path.parts)
    return [Artifact(path.parent, Manifest.read(path)) for path in manifests]


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The message of the first step that failed."""
    from recsys_pipeline.defs.failures import cause_of

    if result.success:
        pytest.fail("the run succeeded, and a failure was expected")
    return str(cause_of(result))


def _make_dagster_home(home: Path) -> None:
    """The folder of an instance without runs."""
    if parent_process() is None:
        shutil.copytree(_new_dagster_home(), home)
    else:  # it may be about to be killed, and would leave what is copied behind
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_text(DAGSTER_YAML)


@cache
def _new_dagster_home() -> Path:
    """What Dagster makes at its first start, to be copied: its migrations take half a second."""
    home = Path(tempfile.mkdtemp(prefix="recsys-dagster-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    with dg.DagsterInstance.from_config(str(home)):
        return home


def _forget_settings() -> None:
    from recsys_pipeline.defs import resources

    settings_module.settings.cache_clear()
    resources.configured_source.cache_clear()
    resources._tracker.cache_clear()
