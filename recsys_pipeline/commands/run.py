"""`recsys run JOB [DAY]`: a job for one day or hour, or for each of a range."""

import argparse
import time

from rich.console import Console

from recsys_pipeline import definitions
from recsys_pipeline.commands.running.backfill import days_between, print_days, run_days
from recsys_pipeline.commands.running.launch import last_complete_day, last_complete_hour, run_job
from recsys_pipeline.commands.screen import print_missing, show_steps


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Run the job; for a range the exit code says whether a day failed."""
    show_steps()
    day = parsed.day or (last_complete_hour() if parsed.job == "speed_hourly" else last_complete_day())
    if ".." in day:
        results = run_days(
            definitions.defs, parsed.job, days_between(parsed.job, day), parsed.overrides, parsed.recompute
        )
        return print_days(console, parsed.job, results)
    started = time.monotonic()
    outcome = run_job(definitions.defs, parsed.job, day, parsed.overrides, parsed.recompute)
    console.print(
        f"{parsed.job} {day}: {outcome.made} made, {outcome.reused} up to date, {time.monotonic() - started:.1f} s"
    )
    print_missing(console, outcome.missing)
    return 0
