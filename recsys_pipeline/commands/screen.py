"""The terminal that verbs print to, and the step log on it."""

import logging
import sys
import time

from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.terminal import StepHandler, open_console

PIPED_COLUMNS = 110
console = open_console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)


def show_steps() -> None:
    """Show the step log on this terminal, in UTC as all else is, and nothing else of what libraries log."""
    steps = logging.getLogger("recsys_pipeline.steps")
    steps.setLevel(logging.INFO)
    handler = StepHandler(sys.stdout)
    line = logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S UTC")
    line.converter = time.gmtime
    handler.setFormatter(line)
    steps.addHandler(handler)
    steps.propagate = False


def print_missing(console: Console, told: str) -> None:
    """The last line, where something of the history is not there."""
    if told:
        console.print(f"[yellow]missing[/yellow]: {escape(told)}", soft_wrap=True)
