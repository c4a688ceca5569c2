"""The one who runs the deployment: evaluates schedules by a virtual clock, launches what they ask for, reads errors."""

import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.defs.failures import cause_of
from recsys_pipeline.defs.resources import RESOURCES
from recsys_pipeline_tests.deployment import TINY_MODELS, Deployment
from recsys_pipeline_tests.processes import die_before_touch, exit_code
from recsys_pipeline_tests.soak.weather import Sky, Weather

CATCH_UP = 5
"""Ticks that Dagster's scheduler makes up for at most after it stood still."""


def fair(source: Source) -> Source:
    """Fair weather: nothing before the source; a function with a name, because other processes must get it too."""
    return source


@dataclass(frozen=True)
class Under:
    """Puts a source under the weather; a class, because processes that are killed must get it too."""

    sky: Path

    def __call__(self, source: Source) -> Source:
        return Weather(source, Sky(self.sky))


@dataclass
class Operator:
    """Runs jobs of one deployment as its daemon would."""

    deployment: Deployment
    rng: random.Random
    launched: set[tuple[str, str]] = field(default_factory=set)
    """Run keys per job: Dagster launches each once."""
    failures: list[str] = field(default_factory=list)

    @property
    def store(self) -> ArtifactStore:
        """The store of the marketplace."""
        return self.deployment.store

    def tick(self, schedule: str, moment: datetime) -> list[str]:
        """Partitions that the schedule asks for at a moment, less those that it was given before."""
        from recsys_pipeline.definitions import defs

        found = defs.resolve_schedule_def(schedule)
        with self.deployment.active(), dg.DagsterInstance.get() as instance:
            context = dg.build_schedule_context(
                instance, resources=RESOURCES, scheduled_execution_time=moment, repository_def=defs.get_repository_def()
            )
            requests = found.evaluate_tick(context).run_requests or []
        fresh = []
        for request in requests:
            key = (found.job_name, request.run_key or request.partition_key or "")
            if key not in self.launched and request.partition_key is not None:
                self.launched.add(key)
                fresh.append(request.partition_key)
        return fresh

    def run(self, job: str, partition: str, retries: int = 1, recompute: bool = False) -> bool:
        """Run a job, again where it fails (as `run_retries` of dagster.yaml says), and do what an error asks for."""
        for _ in range(1 + retries):
            reason = run_job(self.deployment, job, partition, recompute)
            if not reason:
                return True
            self.failures.append(f"{job} {partition}: {reason}")
            self.obey(reason)
        return False

    def obey(self, reason: str) -> None:
        """Do what an error asks for: make again what it says is damaged."""
        match = re.search(r"materialize (\w+)/\w+ (\S+) again", reason)
        if match:
            run_job(self.deployment, "speed_hourly" if match[1] == "speed" else "batch_daily", match[2])

    def killed(self, job: str, partition: str, last_touch: int) -> bool:
        """Run a job in a process that dies by SIGKILL at a touch of the store; whether it died."""
        return exit_code(run_until, self.deployment, job, partition, last_touch, timeout_s=300) == -signal.SIGKILL

    def flip_a_byte(self, path: Path) -> None:
        """Damage a file as a bad disk would: same size, another content."""
        content = bytearray(path.read_bytes())
        content[self.rng.randrange(len(content))] ^= 0x40
        path.chmod(0o644)
        path.write_bytes(bytes(content))

    def check(self) -> list[str]:
        """What must hold after every run: whole artifacts, pointers that point somewhere, a champion that opens."""
        root, wrong = Path(self.store.root), []
        for pointer in root.rglob(POINTER_NAME):
            if not (pointer.parent / pointer.read_text().strip() / MANIFEST_NAME).is_file():
                wrong.append(f"{pointer} points nowhere")
        folders = {path.parent for path in root.rglob(MANIFEST_NAME)}
        wrong += [f"{path} has no manifest" for path in root.glob("*/*/*/*-*") if path.is_dir() and path not in folders]
        served = champion(self.store)
        if served is not None and not served.has_all_files():
            wrong.append(f"the champion {served.path} lacks files")
        return [text for text in wrong if "/.staging/" not in text]


def run_job(deployment: Deployment, job: str, partition: str, recompute: bool = False) -> str:
    """Run a job of the real definitions in this process; returns why it failed, or nothing."""
    from recsys_pipeline.definitions import defs

    found = defs.resolve_job_def(job)
    config = {
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "resources": {"store": {"config": {"recompute": recompute}}},
        "ops": _ops(TINY_MODELS) if job == "batch_daily" else {},
    }
    with deployment.active(), dg.DagsterInstance.get() as instance:
        result = found.execute_in_process(config, instance=instance, partition_key=partition, raise_on_error=False)
    return "" if result.success else str(cause_of(result))


def run_until(deployment: Deployment, job: str, partition: str, last_touch: int) -> None:
    """Run a job and die just before the store is touched for the `last_touch`-th time."""
    _run_watched(deployment, job, partition, last_touch)


def count_touches(deployment: Deployment, job: str, partition: str, count_file: Path) -> None:
    """Run a job undisturbed, and write down how often it touched the store."""
    count_file.write_text(str(_run_watched(deployment, job, partition, 0)))


def _run_watched(deployment: Deployment, job: str, partition: str, last_touch: int) -> int:
    touches = die_before_touch(last_touch, deployment.home / "data" / "store")
    reason = run_job(deployment, job, partition)
    assert not reason, reason
    return touches()


@contextmanager
def full_disk(after_syncs: int) -> Iterator[None]:
    """From the given number of fsyncs on, the disk is full."""
    from unittest import mock

    from recsys_pipeline.adapters.store import durable_files

    real, count = durable_files.sync, 0

    def sync(path: Path) -> None:
        nonlocal count
        count += 1
        if count > after_syncs:
            raise OSError(28, "No space left on device", str(path))
        real(path)

    with mock.patch.object(durable_files, "sync", sync):
        yield


def _ops(fields: dict[str, Any]) -> dict[str, Any]:
    ops: dict[str, Any] = {}
    for name, value in fields.items():
        key, _, setting = name.rpartition(".")
        ops.setdefault(key.replace("/", "__"), {"config": {}})["config"][setting] = value
    return ops
