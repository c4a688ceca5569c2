"""What `recsys status` prints: what is served and how fresh it is, what ran, failed and waits, how full the disk is."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.overlays import newest_overlay
from recsys_pipeline.adapters.releases import champion
from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.defs.mirroring import open_mirror
from recsys_pipeline.defs.resources import configured_source, open_store, stores
from recsys_pipeline.settings import Settings, settings

RUNS_LOOKED_AT = 200


@dataclass(frozen=True)
class JobRun:
    """The last run of a job for a partition."""

    job: str
    partition: str
    state: str
    ended_at: datetime | None
    seconds: float | None


def last_runs(records: Iterable[Any]) -> list[JobRun]:
    """Of each job and partition the newest run, newest first; records come newest first."""
    newest: dict[tuple[str, str], JobRun] = {}
    for record in records:
        run, key = (
            record.dagster_run,
            (record.dagster_run.job_name, record.dagster_run.tags.get("dagster/partition", "")),
        )
        seconds = record.end_time - record.start_time if record.end_time and record.start_time else None
        ended_at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None
        newest.setdefault(key, JobRun(*key, run.status.value, ended_at, seconds))
    return list(newest.values())


def open_failures(runs: Sequence[JobRun]) -> list[JobRun]:
    """Partitions whose last run failed: running them again with success closes the alert."""
    return [run for run in runs if run.state == dg.DagsterRunStatus.FAILURE.value]


def print_status(console: Console, now: datetime | None = None) -> int:
    """One screen; 1 where an alert is open."""
    now, deployment, source = now or datetime.now(UTC), settings(), configured_source()
    store = open_store(deployment, source.name)
    with dg.DagsterInstance.get() as instance:
        runs = last_runs(instance.get_run_records(limit=RUNS_LOOKED_AT))
        switched_on = sorted(state.instigator_name for state in instance.all_instigator_state() if state.is_running)
    failures = open_failures(runs)
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("Source", f"{source.name}, days from {source.days().first} to {source.days().last or 'today'}"),
        ("Champion", _champion(champion(store), now)),
        ("Overlay", _overlay(store, now)),
        ("Runs", "\n".join(_run(run, now) for run in _newest_of_each_job(runs)) or "none yet: `recsys demo`"),
        ("Alerts", "\n".join(_run(run, now) for run in failures) or "none open"),
        ("Schedules", f"on: {', '.join(switched_on)}" if switched_on else "all off: switch them on in the UI"),
        ("W&B", _waiting()),
        ("Disk", _disk(deployment, store)),
    ):
        table.add_row(f"[bold]{name}[/bold]", escape(text))
    console.print(table)
    return 1 if failures else 0


def _champion(found: Artifact | None, now: datetime) -> str:
    if found is None:
        return "none yet: `recsys run batch_daily` makes the first release"
    day = found.manifest.recipe.partition
    end = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1)
    return f"{day}  {found.manifest.digest[:12]}  knows events until {end:%F %R} ({spoken(now - end)} ago)"


def _overlay(store: ArtifactStore, now: datetime) -> str:
    served = champion(store)
    newest = newest_overlay(store, served) if served else None
    if newest is None:
        return "none over this champion yet: `recsys run speed_hourly`, or switch on the schedule of that name"
    made, counts = datetime.fromisoformat(newest.manifest.created_at), newest.manifest.metrics
    figures = f"{counts['users']:,} users and {counts['new_items']:,} new items from {counts['events']:,} events"
    return f"{newest.manifest.recipe.partition}  made {spoken(now - made)} ago: {figures}"


def _newest_of_each_job(runs: Sequence[JobRun]) -> list[JobRun]:
    newest: dict[str, JobRun] = {}
    for run in runs:
        newest.setdefault(run.job, run)
    return sorted(newest.values(), key=lambda run: run.job)


def _run(run: JobRun, now: datetime) -> str:
    took = f"  {run.seconds:.0f} s" if run.seconds is not None else ""
    ended = f"  {spoken(now - run.ended_at)} ago" if run.ended_at else ""
    return f"{run.job:<14} {run.partition:<17} {run.state.lower():<9}{took}{ended}"


def _waiting() -> str:
    if os.environ.get("WANDB_MODE") == "disabled":
        return "switched off"
    mirror = open_mirror()
    waiting = len(mirror.waiting(stores(settings()).sources()))
    return f"{waiting} runs wait: `recsys wandb push` sends them" if waiting else "nothing waits"


def _disk(deployment: Settings, store: ArtifactStore) -> str:
    places = {"store": Path(store.root) if store.is_local else None, "W&B": deployment.home / "wandb"}
    sizes = [f"{name} {_bytes_below(path) / 2**20:,.0f} MiB" for name, path in places.items() if path and path.exists()]
    free = f"{shutil.disk_usage(deployment.home).free / 2**30:,.0f} GiB free" if deployment.home.exists() else ""
    return ", ".join([*sizes, free])


def _bytes_below(root: Path) -> int:
    """Bytes on the disk; a file with several names (hard links) counts once."""
    seen: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                stat = (Path(folder) / name).lstat()
            except FileNotFoundError:  # another process removed it meanwhile
                continue
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def spoken(age: timedelta) -> str:
    """An age as people say it.

    >>> spoken(timedelta(hours=50))
    '2 d 2 h'
    >>> spoken(timedelta(minutes=3))
    '3 min'
    """
    minutes = int(age.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"{minutes // 1440} d {minutes // 60 % 24} h"
    )
