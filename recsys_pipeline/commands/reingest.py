"""`recsys reingest`: days are read from the source again, closed ones too, and become new versions."""

import argparse
from datetime import date

from rich.console import Console

from recsys_pipeline import definitions
from recsys_pipeline.adapters.intake.meaning_of_days import refuse_other_meaning, stored_days
from recsys_pipeline.commands.running.launch import check_partition, last_complete_day, run_job
from recsys_pipeline.commands.screen import show_steps
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.resources import configured_source, open_store
from recsys_pipeline.settings import settings

KEY = "dataset/interactions"


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Read the days of `first..last` (default: all that the source has) again in one run, and say what comes next.

    Raises `SettingError` for days that the source does not have, and `SourceError` where days still mean something else
    after that, since the source could not give them.
    """
    show_steps()
    source = configured_source()
    first, separator, last = (parsed.days or f"{source.days().first}..{last_complete_day()}").partition("..")
    if not separator:
        last = first
    for day in (first, last):
        check_partition(day, of_hours=False, taker="reingest")
    if last < first:
        raise SettingError(f"{parsed.days} ends before it begins: write first..last")
    again = f'{KEY}.reread_from="{first}"'
    outcome = run_job(definitions.defs, "batch_daily", last, [again], recompute=True, only=KEY)
    store = open_store(settings(), source.name)
    read = len(stored_days(store, date.fromisoformat(first), date.fromisoformat(last)))
    console.print(f"{read} days of {source.name} are read again, from {first} to {last} (run {outcome.run_id[:8]})")
    refuse_other_meaning(source, stored_days(store, date.min, date.max))
    console.print(f"What follows from them is made anew by: recsys run batch_daily {last_complete_day()}")
    return 0
