"""`recsys status`: what is served and how fresh it is, what ran, failed and waits, how full the disk is."""

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.intake.late_rows import KEY as INTERACTIONS
from recsys_pipeline.adapters.intake.missing_history import MissingFile, MissingHistory
from recsys_pipeline.adapters.serving.overlays import newest_overlay
from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.machine_errors import is_of_the_machine, told
from recsys_pipeline.adapters.wandb.server import mode_in_words
from recsys_pipeline.core.errors import ArtifactError, RecsysError
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.archives import newest_moment
from recsys_pipeline.defs.freshness import Freshness, champion_freshness, overlay_freshness, spoken
from recsys_pipeline.defs.history import use_history
from recsys_pipeline.defs.mirroring import open_mirror
from recsys_pipeline.defs.resources import SourceResource, StoreResource, stores
from recsys_pipeline.defs.run_records import KILLED_STATE, JobRun, Recorded
from recsys_pipeline.settings import Settings, settings

ALERTS_SHOWN = 10
NO_RUNS = "none yet: `recsys demo`"


def run(console: Console, _: argparse.Namespace, now: datetime | None = None) -> int:
    """One screen; 1 where an alert is open, or something cannot be told.

    A row that cannot be told says why: people look here when the source is away or a file is damaged.
    """
    at = now or datetime.now(UTC)
    recorded, store = cache(Recorded.read), cache(StoreResource().open)
    unread = cache(lambda: _unread(store))
    newest = cache(lambda: newest_moment(SourceResource().open, at))
    rows: dict[str, Callable[[], str]] = {
        "Source": _source,
        "History": lambda: _history(store()),
        "Champion": lambda: _champion(champion(store()), at) + _late(champion_freshness(store(), newest())),
        "Overlay": lambda: _overlay(store(), at) + _late(overlay_freshness(store(), newest())),
        "Runs": lambda: "\n".join(_run(one, at) for one in _newest_of_each_job(recorded().runs)) or NO_RUNS,
        "Alerts": lambda: _alerts(recorded().failures, at, unread()),
        "Kept in": lambda: f"{use_history()}: runs, schedules and partitions of this source alone",
        "Schedules": lambda: _schedules(recorded().switched_on),
        "W&B": _waiting,
        "Disk": lambda: _disk(settings(), store()),
    }
    table, said, failed = _table(), set(), False
    for name, tell in rows.items():
        try:
            text = escape(tell())
        except (RecsysError, OSError) as error:
            if isinstance(error, OSError) and not is_of_the_machine(error):
                raise
            failed, problem = True, told(error) if isinstance(error, OSError) else str(error)
            state = "damaged" if isinstance(error, ArtifactError) and problem not in said else "unknown"
            text = f"[red]{state}[/red]: " + ("as above" if problem in said else escape(problem))
            said.add(problem)
        table.add_row(f"[bold]{name}[/bold]", text)
    console.print(table)
    if failed:
        console.print("`recsys doctor` says what to mend")
        return 1
    return 1 if recorded().failures or unread() else 0


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")  # a long path is needed to its end
    return table


def _source() -> str:
    source = SourceResource().open()
    days = source.days()
    return f"{source.name}, days from {days.first} to {days.last or 'today'}"


def _history(store: ArtifactStore) -> str:
    found = _missing(store)
    if found:
        return found.told()
    days = store.partitions(INTERACTIONS)
    return f"whole: {len(days)} days, {days[0]} to {days[-1]}" if days else "no day taken in yet"


def _unread(store: Callable[[], ArtifactStore]) -> int:
    """Days that the source has and that could not be read; none where the store is not found, which its row says."""
    try:
        found = _missing(store())
    except RecsysError:
        return 0
    return len(found.unread) if found else 0


def _missing(store: ArtifactStore) -> MissingHistory | None:
    return MissingFile(settings().home, store.source).read()


def _champion(found: Artifact | None, now: datetime) -> str:
    if found is None:
        return "none yet: `recsys run batch_daily` makes the first release"
    day = found.manifest.recipe.partition
    end = Window.of_partition(day).end
    return f"{day}  {found.manifest.digest[:12]}  knows events until {end:%F %R} ({spoken(now - end)} ago)"


def _overlay(store: ArtifactStore, now: datetime) -> str:
    served = champion(store)
    newest = newest_overlay(store, served) if served else None
    if newest is None:
        return "none over this champion yet: `recsys run speed_hourly`, or switch on the schedule of that name"
    hour, counts = newest.manifest.recipe.partition, newest.manifest.metrics
    end = Window.of_partition(hour).end
    figures = f"{counts['users']:,} users and {counts['new_items']:,} new items from {counts['events']:,} events"
    return f"{hour}  knows events until {end:%F %R} ({spoken(now - end)} ago): {figures}"


def _late(found: Freshness | None) -> str:
    """That it is late, by the day or hour that it knows, however often something was run since."""
    if found is None or found.is_fresh:
        return ""
    return f"\nlate: it should know events of the last {spoken(found.late[0])}"


def _newest_of_each_job(runs: Sequence[JobRun]) -> list[JobRun]:
    newest: dict[str, JobRun] = {}
    for run in runs:
        newest.setdefault(run.job, run)
    return sorted(newest.values(), key=lambda run: run.job)


def _run(run: JobRun, now: datetime) -> str:
    return f"{run.job:<14} {run.partition:<17} {run.state.lower():<9}{_when(run, now)}"


def _when(run: JobRun, now: datetime) -> str:
    """How long a run took and how long ago that was; of one without an end, known when it began."""
    if run.ended_at and run.started_at and run.state != KILLED_STATE:
        return f"  {(run.ended_at - run.started_at).total_seconds():.0f} s  {spoken(now - run.ended_at)} ago"
    if run.started_at:
        return f"  begun {spoken(now - run.started_at)} ago"
    return f"  {spoken(now - run.ended_at)} ago" if run.ended_at else ""


def _alerts(failures: Sequence[JobRun], now: datetime, unread: int = 0) -> str:
    more = len(failures) - ALERTS_SHOWN
    lines = [f"{unread} days of the history cannot be read: see History"] if unread else []
    lines += [_run(run, now) for run in failures[:ALERTS_SHOWN]] + ([f"and {more} older ones"] if more > 0 else [])
    return "\n".join(lines) or "none open"


def _schedules(switched_on: Sequence[str]) -> str:
    return f"on: {', '.join(switched_on)}" if switched_on else "all off: switch them on in the UI"


def _waiting() -> str:
    if os.environ.get("WANDB_MODE") == "disabled":
        return mode_in_words()
    waiting = len(open_mirror().waiting(stores(settings()).sources()))
    return f"{mode_in_words()}\n{waiting or 'no'} runs wait to be sent"


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
