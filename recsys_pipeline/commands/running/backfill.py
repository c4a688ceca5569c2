"""A job over a range of days, one after the other: `recsys run batch_daily 2026-01-03..2026-01-06`."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.commands.running.launch import OF_HOURS, Outcome, check_partition, run_job
from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.core.time import DAY, HOUR_KEY, Window


def days_between(job: str, text: str) -> list[str]:
    """The days of `2026-01-03..2026-01-06`, both ends included; for a job of hours the hours between two.

    Raises `SettingError` for days that the source does not have, and for a range that lacks an end or ends before it
    begins.
    """
    first, _, last = text.partition("..")
    if not (first and last):
        raise SettingError(f"{text} has no {'last' if first else 'first'} day or hour: write first..last, with both")
    for day in (first, last):
        check_partition(day, job in OF_HOURS, job)
    if last < first:
        raise SettingError(f"{text} ends before it begins: write first..last")
    whole, end = Window.of_partition(first), Window.of_partition(last).end
    length = whole.end - whole.start
    return [
        start.strftime("%Y-%m-%d" if length == DAY else HOUR_KEY) for start in Window(whole.start, end).periods(length)
    ]


@dataclass(frozen=True)
class DayResult:
    """How one day of a backfill went: what came out, or why nothing did."""

    day: str
    seconds: float
    outcome: Outcome | None = None
    problem: str = ""


def run_days(
    defs: dg.Definitions, name: str, days: Sequence[str], overrides: Sequence[str] = (), recompute: bool = False
) -> Iterator[DayResult]:
    """Run a job for each day in order, since a day's models may start from those of the day before.

    A day that fails does not end the others: they do without it, and it can be run later. What is wrong with the
    command itself ends all of them.
    """
    for day in days:
        started = time.monotonic()
        try:
            outcome, problem = run_job(defs, name, day, overrides, recompute), ""
        except SettingError:
            raise
        except RecsysError as error:
            outcome, problem = None, str(error)
        yield DayResult(day, time.monotonic() - started, outcome, problem)


def print_days(console: Console, job: str, results: Iterable[DayResult]) -> int:
    """A table of the days; the exit code is 1 where any failed."""
    table = Table(title=f"{job}, day by day", title_justify="left")
    for heading in ("day", "made", "up to date", "seconds", "why it failed"):
        table.add_column(heading, justify="left" if heading[:3] in ("day", "why") else "right", overflow="fold")
    failed, missing = 0, ""
    for result in results:
        missing = result.outcome.missing if result.outcome else missing
        made, reused = (str(n) for n in (result.outcome.made, result.outcome.reused)) if result.outcome else ("", "")
        said = f"[red]failed[/red]: {escape(result.problem)}" if result.problem else ""
        table.add_row(result.day, made, reused, f"{result.seconds:.1f}", said)
        failed += result.outcome is None
    console.print(table)
    if missing:
        console.print(f"[yellow]missing[/yellow]: {escape(missing)}", soft_wrap=True)
    return 1 if failed else 0
