"""`recsys doctor`: packages, settings, places, disk, source, W&B and daemon, each with its remedy."""

import argparse
import errno
import importlib.metadata
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from dotenv import dotenv_values
from packaging.requirements import Requirement
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.store.machine_errors import is_of_the_machine, told
from recsys_pipeline.adapters.wandb.server import base_url, is_online, mode_in_words
from recsys_pipeline.commands.diagnosis.events import check_days, check_events
from recsys_pipeline.commands.diagnosis.findings import Finding
from recsys_pipeline.commands.diagnosis.served import check_champion
from recsys_pipeline.commands.diagnosis.settings import check_settings_file
from recsys_pipeline.commands.diagnosis.source import check_history, check_rows
from recsys_pipeline.core.dataset.sources import ChecksTables
from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.defs.history import use_history
from recsys_pipeline.defs.instance import open_instance
from recsys_pipeline.settings import Settings, settings

LOW_DISK_BYTES, NO_DISK_BYTES = 5 * 2**30, 500 * 2**20
"""A day of the demo takes some 300 MB, mostly decoded images and models."""
DAEMON_SILENT_S = 300
"""Dagster's daemons say every 30 s that they live."""
OTHER_VARIABLES = frozenset({"RECSYS_TEST_DATA", "RECSYS_DATA_DIR"})
"""Variables with our prefix that are no settings: the tests' data, and the root in the examples of conf/sources."""


def diagnose() -> list[Finding]:
    """Everything that can be looked at; what needs a setting that is wrong is left out, as the finding on it says."""
    findings = [*check_packages(), *check_variables()]
    deployment, bad = readable_settings()
    if bad:
        findings.append(bad_settings(bad))
    for check, needed in CHECKS.items():
        if needed & bad.keys():
            continue
        try:
            findings += check(deployment)
        except OSError as error:
            subject = check.__name__.removeprefix("check_")
            findings.append(Finding(subject, "wrong", told(error), "give this user the right to it, and its disk room"))
    return findings


def readable_settings() -> tuple[Settings, dict[str, str]]:
    """The settings, with the defaults in place of bad values; and what is wrong with each of those, by its field."""
    try:
        return settings(), {}
    except SettingError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        bad = {str(problem["loc"][0]): problem["msg"] for problem in error.__cause__.errors()}
        defaults: dict[str, Any] = {name: Settings.model_fields[name].default for name in bad}
        return Settings(**defaults), bad


def bad_settings(bad: dict[str, str]) -> Finding:
    """The variables that are wrong, and what could not be looked at for that."""
    what = "; ".join(f"RECSYS_{name.upper()}: {problem}" for name, problem in bad.items())
    left_out = [check.__name__.removeprefix("check_") for check, needed in CHECKS.items() if needed & bad.keys()]
    unseen = f"; not looked at: {', '.join(left_out)}" if left_out else ""
    return Finding("settings", "wrong", what + unseen, "mend it in the environment or in .env (see .env.example)")


def run(console: Console, _: argparse.Namespace) -> int:
    """Print all findings; 1 where something is wrong, 0 for warnings only."""
    findings = diagnose()
    wide = [Column(name, overflow="fold") for name in ("found", "what to do")]  # a path is needed to its end
    table = Table("", "subject", *wide)
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]look[/yellow]", "wrong": "[red]wrong[/red]"}
    for finding in findings:
        table.add_row(marks[finding.state], finding.subject, escape(finding.what), escape(finding.remedy))
    console.print(table)
    states = [finding.state for finding in findings]
    counts = {"to mend": states.count("wrong"), "to look at": states.count("warning")}
    console.print(", ".join(f"{count} {what}" for what, count in counts.items() if count) or "All is well", end=".\n")
    return 1 if counts["to mend"] else 0


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
    home = deployment.home.absolute()
    if home.exists() and not home.is_dir():
        yield Finding("runtime root", "wrong", f"{home} is no folder", "set RECSYS_HOME to a folder")
        return
    probe = home / f".doctor-{uuid.uuid4().hex}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_text("probe")
        finally:
            probe.unlink(missing_ok=True)
        yield Finding("runtime root", "ok", f"{home} can be written")
    except OSError as error:
        remedy = (
            "make room: recsys gc --dry-run shows what can go"
            if error.errno == errno.ENOSPC
            else "give this user the right to write there, or set RECSYS_HOME"
        )
        yield Finding("runtime root", "wrong", f"{home}: {error.strerror}", remedy)


def check_store(deployment: Settings) -> Iterator[Finding]:
    """Whether the store takes, gives back and removes a file, and outlives the process."""
    import fsspec

    if deployment.store_url.startswith("memory:"):
        what = f"{deployment.store_url} is lost when the process ends, and each process has its own"
        yield Finding("artifact store", "wrong", what, "set RECSYS_STORE to a folder or an object store")
        return
    try:
        fs, root = fsspec.core.url_to_fs(deployment.store_url, use_listings_cache=False)
        path = f"{root.rstrip('/')}/.doctor-{uuid.uuid4().hex}"
        fs.makedirs(root, exist_ok=True)
        try:
            fs.pipe_file(path, b"probe")
            same = fs.cat_file(path) == b"probe"
        finally:
            if fs.exists(path):  # a full disk takes a file's name, and none of its bytes
                fs.rm_file(path)
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        remedy = "check RECSYS_STORE, its credentials, and that the package of its protocol (s3fs, gcsfs) is installed"
        if isinstance(error, OSError) and is_of_the_machine(error):
            remedy = "give this user the right to write there, and its disk room; or set RECSYS_STORE"
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
    """Whether the source opens, its tables can be read, and its days have begun."""
    try:
        source = open_source(deployment)
        days = source.days()
        if isinstance(source, ChecksTables):
            source.check()
    except RecsysError as error:
        yield Finding("source", "wrong", str(error), "see docs/data.md")
        return
    what = f"{source.name}: {', '.join(sorted(source.provides))} from {days.first} to {days.last or 'today'}"
    if days.first > datetime.now(UTC).date():
        setting = "RECSYS_START_DATE" if deployment.source == "simulator" else "first_day, or the times, of its TOML"
        yield Finding(
            "source", "wrong", f"{what}: the first day lies in the future", f"set {setting} to a day before today"
        )
    else:
        yield Finding("source", "ok", what)
        if isinstance(source, ChecksTables):
            yield from check_rows(source)


def check_dagster(_: Settings) -> Iterator[Finding]:
    """The instance, and whether its daemon lives: without it no schedule and no sensor ticks."""
    try:
        home = use_history()
    except RecsysError as error:
        yield Finding("history of runs", "wrong", str(error), "mend that first: each source has a history of its own")
        return
    if not (home / "dagster.yaml").is_file():
        yield Finding("Dagster", "warning", f"DAGSTER_HOME is {home} and has no dagster.yaml",
                      "start commands in the checkout, or set DAGSTER_HOME to it")  # fmt: skip
        return
    try:
        with open_instance() as instance:
            beats = list(instance.get_daemon_heartbeats().values())
    except RecsysError as error:
        yield Finding(
            "Dagster",
            "wrong",
            str(error),
            "as it says; the checkout has a dagster.yaml that works, and the disk below it must take files",
        )
        return
    yield Finding("history of runs", "ok", f"in {home}")
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
    key = os.environ.get("WANDB_API_KEY", "")
    if is_online() and len(key) < 40:
        what = f"WANDB_API_KEY has {len(key)} characters; keys have 40 or more"
        yield Finding("W&B", "warning", what, f"copy it anew from {base_url()}/authorize")
    else:
        yield Finding("W&B", "ok", mode_in_words())


CHECKS: dict[Callable[[Settings], Iterator[Finding]], set[str]] = {
    check_home: {"home"},
    check_store: {"home", "store"},
    check_disk: {"home"},
    check_source: {"home", "source", "source_config", "size", "start_date"},
    check_events: {"home", "source", "source_config", "size", "start_date"},
    check_days: {"home", "store", "source", "source_config", "size", "start_date"},
    check_history: {"home", "source", "source_config", "size", "start_date"},
    check_champion: {"home", "store", "source", "source_config", "size", "start_date"},
    check_settings_file: {"home", "source", "source_config", "size", "start_date", "settings_file"},
    check_dagster: set(),
    check_wandb: set(),
}
"""What is looked at, in order, and the settings that it needs."""
