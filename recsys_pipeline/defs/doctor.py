"""What `recsys doctor` looks at: packages, settings, places, disk, source, W&B, daemon; each with its remedy."""

import importlib.metadata
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
from dotenv import dotenv_values
from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.wandb_server import base_url, is_online
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.defs.launch import use_this_folder
from recsys_pipeline.settings import Settings, settings

LOW_DISK_BYTES, NO_DISK_BYTES = 5 * 2**30, 500 * 2**20
"""A day of the demo takes some 300 MB, mostly decoded images and models."""
DAEMON_SILENT_S = 300
"""Dagster's daemons say every 30 s that they live."""
OTHER_VARIABLES = frozenset({"RECSYS_TEST_DATA", "RECSYS_DATA_DIR"})
"""Variables with our prefix that are no settings: the tests' data, and the root in the examples of conf/sources."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where all is well."""

    subject: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Everything that can be looked at; where the settings themselves are wrong, nothing else can."""
    findings = [*check_packages(), *check_variables()]
    try:
        deployment = settings()
    except RecsysError as error:
        return [*findings, Finding("settings", "wrong", str(error), "mend the variable that it names")]
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        check_home, check_store, check_disk, check_source, check_dagster, check_wandb
    ]  # fmt: skip
    return [*findings, *(finding for check in checks for finding in check(deployment))]


def print_diagnosis(console: Console) -> int:
    """Print all findings; 1 where something is wrong, 0 for warnings only."""
    findings = diagnose()
    table = Table("", "subject", "found", "what to do")
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]look[/yellow]", "wrong": "[red]wrong[/red]"}
    for finding in findings:
        table.add_row(marks[finding.state], finding.subject, escape(finding.what), escape(finding.remedy))
    console.print(table)
    wrong = [finding for finding in findings if finding.state == "wrong"]
    console.print("All is well." if not wrong else f"{len(wrong)} to mend.")
    return 1 if wrong else 0


def check_packages() -> Iterator[Finding]:
    """Installed packages against what this package asks for."""
    bad = []
    for text in importlib.metadata.requires("recsys_pipeline") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            bad.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            bad.append(f"{requirement.name} is {found}, needed is {requirement.specifier}")
    if bad:
        yield Finding("packages", "wrong", "; ".join(bad), "make install, which takes the pinned versions")
    else:
        python = ".".join(map(str, sys.version_info[:3]))
        yield Finding("packages", "ok", f"Python {python}; all requirements are met")


def check_variables() -> Iterator[Finding]:
    """Variables with our prefix that nothing reads: a misspelt setting would be passed over in silence."""
    known = {f"RECSYS_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    ours = [name for name in {**dotenv_values(".env"), **os.environ} if name.upper().startswith("RECSYS_")]
    strays = sorted(name for name in ours if name.upper() not in known)
    for name in strays:
        remedy = f"settings are {', '.join(sorted(known))}"
        yield Finding("settings", "warning", f"{name} is set, and nothing reads it", remedy)
    if not strays:
        yield Finding("settings", "ok", "every RECSYS_ variable is known")


def check_home(deployment: Settings) -> Iterator[Finding]:
    """Whether the runtime root can be written."""
    probe = deployment.home / f".doctor-{uuid.uuid4().hex}"
    try:
        deployment.home.mkdir(parents=True, exist_ok=True)
        probe.write_text("probe")
        probe.unlink()
        yield Finding("runtime root", "ok", f"{deployment.home.absolute()} can be written")
    except OSError as error:
        yield Finding(
            "runtime root", "wrong", f"{deployment.home.absolute()}: {error.strerror}",
            "give this user the right to write there, or set RECSYS_HOME",
        )  # fmt: skip


def check_store(deployment: Settings) -> Iterator[Finding]:
    """Whether the store takes, gives back and removes a file."""
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(deployment.store_url, use_listings_cache=False)
        path = f"{root.rstrip('/')}/.doctor-{uuid.uuid4().hex}"
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(path, b"probe")
        same = fs.cat_file(path) == b"probe"
        fs.rm_file(path)
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        remedy = "check RECSYS_STORE, its credentials, and that the package of its protocol (s3fs, gcsfs) is installed"
        yield Finding("artifact store", "wrong", f"{deployment.store_url}: {type(error).__name__}: {error}", remedy)
        return
    if same:
        yield Finding("artifact store", "ok", f"{deployment.store_url} can be written")
    else:
        yield Finding("artifact store", "wrong", f"{deployment.store_url} gave back other bytes", "do not trust it")


def check_disk(deployment: Settings) -> Iterator[Finding]:
    """Free bytes where the runtime root lies."""
    if not deployment.home.exists():
        return
    free = shutil.disk_usage(deployment.home).free
    text = f"{free / 2**30:.1f} GiB free at {deployment.home.absolute()}"
    if free < NO_DISK_BYTES:
        yield Finding("disk", "wrong", text, "recsys gc --dry-run shows what can go")
    elif free < LOW_DISK_BYTES:
        yield Finding("disk", "warning", text, "recsys gc --dry-run shows what can go")
    else:
        yield Finding("disk", "ok", text)


def check_source(deployment: Settings) -> Iterator[Finding]:
    """Whether the source opens and has days."""
    try:
        source = open_source(deployment)
        days = source.days()
    except RecsysError as error:
        yield Finding("source", "wrong", str(error), "see docs/data.md")
        return
    yield Finding(
        "source",
        "ok",
        f"{source.name}: {', '.join(sorted(source.provides))} from {days.first} to {days.last or 'today'}",
    )


def check_dagster(_: Settings) -> Iterator[Finding]:
    """The instance, and whether its daemon lives: without it no schedule and no sensor ticks."""
    use_this_folder()
    home = os.environ["DAGSTER_HOME"]
    if not (Path(home) / "dagster.yaml").is_file():
        yield Finding("Dagster", "warning", f"DAGSTER_HOME is {home} and has no dagster.yaml",
                      "start commands in the checkout, or set DAGSTER_HOME to it")  # fmt: skip
        return
    with dg.DagsterInstance.get() as instance:
        beats = list(instance.get_daemon_heartbeats().values())
    errors = sorted({error.message.strip() for beat in beats for error in beat.errors or []})
    silent_s = time.time() - max((beat.timestamp for beat in beats), default=0.0)
    if silent_s > DAEMON_SILENT_S:
        last = f"last seen {silent_s / 3600:.1f} h ago" if beats else "never seen"
        what = f"not running ({last}): no schedule or sensor ticks"
        yield Finding("Dagster daemon", "warning", what, "make ui starts it, or run dagster-daemon")
    elif errors:
        yield Finding("Dagster daemon", "wrong", errors[0], "see the log of make ui")
    else:
        yield Finding("Dagster daemon", "ok", f"alive {silent_s:.0f} s ago")


def check_wandb(_: Settings) -> Iterator[Finding]:
    """How W&B is spoken to; asks no server."""
    key, mode = os.environ.get("WANDB_API_KEY", ""), os.environ.get("WANDB_MODE", "online")
    if mode == "disabled":
        yield Finding("W&B", "ok", "switched off (WANDB_MODE=disabled)")
    elif not is_online():
        yield Finding("W&B", "ok", "offline: tracked below the runtime root, `recsys wandb push` sends it later")
    elif len(key) < 40:
        what = f"WANDB_API_KEY has {len(key)} characters; keys have 40 or more"
        yield Finding("W&B", "warning", what, f"copy it anew from {base_url()}/authorize")
    else:
        yield Finding("W&B", "ok", f"online at {base_url()}")
