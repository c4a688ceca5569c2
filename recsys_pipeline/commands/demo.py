"""`recsys demo`: the daily job for the last complete day, and what came out."""

import argparse
import time

from recsys_pipeline import definitions
from recsys_pipeline.commands.screen import console, print_missing, show_steps
from recsys_pipeline.defs.launch import last_complete_day, run_job
from recsys_pipeline.defs.summary import print_summary


def run(_: argparse.Namespace) -> int:
    """Run the job, print the tables."""
    day = last_complete_day()
    show_steps()
    started = time.monotonic()
    console.print(f"[bold]batch_daily[/bold] for {day}: the last complete day (UTC)")
    outcome = run_job(definitions.defs, "batch_daily", day)
    print_summary(console, day, time.monotonic() - started, outcome)
    print_missing(outcome.missing)
    return 0
