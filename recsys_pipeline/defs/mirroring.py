"""Mirroring to Weights & Biases: the job and schedule `wandb_mirror`, and what `recsys wandb push|status` print."""

import os

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.wandb.mirror import Mirror, Report
from recsys_pipeline.adapters.wandb.outbox import Outbox
from recsys_pipeline.adapters.wandb.server import base_url, is_online
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.resources import TrackerResource, stores
from recsys_pipeline.settings import settings

SHOWN = 15
"""Names that are printed at most."""


def open_mirror() -> Mirror:
    """The mirror of this deployment, to look at what waits."""
    home = settings().home / "wandb"
    return Mirror(Outbox(home / "outbox"), stores(settings()), TrackerResource().project, home / "sending")


def sending_mirror() -> Mirror:
    """The mirror to send with; raises `SettingError` where tracking is switched off."""
    if os.environ.get("WANDB_MODE") == "disabled":
        raise SettingError("WANDB_MODE is disabled, so that nothing goes to W&B: unset it to push")
    return open_mirror()


@dg.op(description="Send what the outbox and the manifests hold and W&B has not acknowledged.")
def send_to_wandb(context: dg.OpExecutionContext) -> None:
    """Fails where something is left, and says why; what was sent stays sent."""
    report = sending_mirror().push(stores(settings()).sources(), context.log.info)
    context.log.info(_headline(report))
    if report.left:
        raise dg.Failure(_headline(report), metadata=dict(report.left[:SHOWN]))


@dg.job(executor_def=dg.in_process_executor, description="Mirror runs, artifacts and lineage to Weights & Biases.")
def wandb_mirror() -> None:
    """One op; a second one that starts meanwhile finds the lock taken and ends well."""
    send_to_wandb()


@dg.schedule(
    name="wandb_mirror", job=wandb_mirror, cron_schedule="20 * * * *", execution_timezone="UTC",
    description="Twenty past every hour: sends to W&B what waits, where a key is set.",
)  # fmt: skip
def wandb_mirror_hourly(_: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Twenty past every hour, where a key is set and something waits."""
    if not is_online():
        return dg.SkipReason("no WANDB_API_KEY, or WANDB_MODE is not online")
    waiting = len(open_mirror().waiting(stores(settings()).sources()))
    return dg.RunRequest() if waiting else dg.SkipReason("nothing waits to be sent")


def print_push(console: Console) -> int:
    """Push and say what became of each run; 1 where something is left."""
    report = sending_mirror().push(stores(settings()).sources(), lambda line: console.print(f"  {escape(line)}"))
    console.print(escape(_headline(report)))
    _print_left(console, report)
    return 1 if report.left else 0


def print_status(console: Console) -> int:
    """What waits, without asking any server."""
    mirror = open_mirror()
    waiting, running = mirror.waiting(stores(settings()).sources()), mirror.outbox.running()
    key = "set" if os.environ.get("WANDB_API_KEY") else "not set"
    console.print(
        f"Server  {base_url()}  (WANDB_API_KEY is {key}, WANDB_MODE is {os.environ.get('WANDB_MODE', 'online')})"
    )
    if os.environ.get("WANDB_MODE") == "disabled":
        console.print("Switched off: nothing is sent until WANDB_MODE is unset")
    console.print(f"{len(running)} running, {len(waiting)} waiting to be sent")
    if waiting:
        table = Table("waiting, in order", "inputs", "outputs", "state")
        for entry in waiting[:SHOWN]:
            counts = (str(len(entry.facts.inputs)), str(len(entry.outputs)))
            table.add_row(entry.facts.name, *counts, entry.state or "")
        console.print(table)
        console.print(f"{_more(len(waiting))}`recsys wandb push` sends them")
    return 0


def _headline(report: Report) -> str:
    if report.at_work:
        return f"Somebody is at work already ({report.at_work}); nothing else to do"
    if not report.sent and not report.left:
        return "Nothing waits: W&B has everything"
    return f"{len(report.sent)} runs sent, {len(report.left)} left"


def _print_left(console: Console, report: Report) -> None:
    if not report.left:
        return
    for name, reason in report.left[:SHOWN]:
        console.print(f"  [red]left[/red] {escape(name)}: {escape(reason)}")
    console.print(f"{_more(len(report.left))}they stay in the outbox: push again when that is mended")


def _more(count: int) -> str:
    return f"and {count - SHOWN} more; " if count > SHOWN else ""
