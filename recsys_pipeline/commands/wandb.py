"""`recsys wandb push` and `recsys wandb status`."""

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.wandb.mirror import Report
from recsys_pipeline.adapters.wandb.server import mode_in_words
from recsys_pipeline.defs.mirroring import SHOWN, headline, open_mirror, sending_mirror
from recsys_pipeline.defs.resources import stores
from recsys_pipeline.settings import settings


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Send what waits, or say what does."""
    return _push(console) if parsed.what == "push" else _status(console)


def _push(console: Console) -> int:
    """Push and say what became of each run; 1 where something is left."""
    report = sending_mirror().push(stores(settings()).sources(), lambda line: console.print(f"  {escape(line)}"))
    console.print(escape(headline(report)))
    _print_left(console, report)
    return 1 if report.left else 0


def _status(console: Console) -> int:
    """What waits, without asking any server."""
    mirror = open_mirror()
    waiting, running = mirror.waiting(stores(settings()).sources()), mirror.outbox.running()
    console.print(f"W&B is {mode_in_words()}", soft_wrap=True)
    console.print(f"{len(running)} running, {len(waiting)} waiting to be sent")
    if waiting:
        table = Table("waiting, in order", "inputs", "outputs", "state")
        for entry in waiting[:SHOWN]:
            counts = (str(len(entry.facts.inputs)), str(len(entry.outputs)))
            table.add_row(entry.facts.name, *counts, entry.state or "")
        console.print(table)
        console.print(f"{_more(len(waiting))}`recsys wandb push` sends them")
    return 0


def _print_left(console: Console, report: Report) -> None:
    if not report.left:
        return
    for name, reason in report.left[:SHOWN]:
        console.print(f"  [red]left[/red] {escape(name)}: {escape(reason)}")
    console.print(f"{_more(len(report.left))}they stay in the outbox: push again when that is mended")


def _more(count: int) -> str:
    return f"and {count - SHOWN} more; " if count > SHOWN else ""
