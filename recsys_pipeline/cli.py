"""The `recsys` command: each verb calls the core or launches a job."""

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from dotenv import load_dotenv
from rich.markup import escape

from recsys_pipeline.adapters.machine_errors import is_of_the_machine, told
from recsys_pipeline.adapters.terminal import open_console
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.evaluate.arguments import add_evaluate
from recsys_pipeline.lineage_verbs import add_lineage
from recsys_pipeline.look_verbs import add_looks
from recsys_pipeline.release_verb import add_gc, add_release
from recsys_pipeline.sweep_verb import add_sweep

PIPED_COLUMNS = 110
console = open_console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run the verb, and say in words what went wrong on purpose or with the machine.

    A bug keeps its traceback.
    """
    parsed = _parser().parse_args(arguments)
    try:
        load_dotenv(".env")  # all of it, as Dagster does for its processes; what the shell has set wins here
        return parsed.run(parsed)
    except RecsysError as error:
        kind = "" if type(error) is RecsysError else f"[red]{type(error).__name__}[/red]: "
        console.print(f"{kind}{escape(str(error))}")
        for note in getattr(error, "__notes__", ()):
            console.print(escape(note), soft_wrap=True)
        return 1
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        console.print(f"[red]{type(error).__name__}[/red]: {escape(told(error))}; see `recsys doctor`", soft_wrap=True)
        return 1


def _parser() -> argparse.ArgumentParser:
    """Every verb with its arguments; what runs it is in `run`."""
    parser = argparse.ArgumentParser(prog="recsys", description="A recommender pipeline on Dagster and JAX.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_jobs(verbs)
    fetch, look, similar = add_looks(verbs)
    fetch.set_defaults(run=_fetch_looks)
    look.set_defaults(run=_look)
    similar.set_defaults(run=_similar)
    lineage, reproduction = add_lineage(verbs)
    lineage.set_defaults(run=_lineage)
    reproduction.set_defaults(run=_reproduce)
    wandb = verbs.add_parser("wandb", help="send what W&B has not acknowledged, or show what waits")
    wandb.add_argument("what", choices=["push", "status"])
    wandb.set_defaults(run=_wandb)
    status = verbs.add_parser("status", help="what is served, how fresh it is, what ran and what failed")
    status.set_defaults(run=_status)
    again = verbs.add_parser(
        "reingest", help="read days from the source again, closed ones too: what they mean changed"
    )
    again.add_argument("days", nargs="?", metavar="FIRST..LAST", help="YYYY-MM-DD..YYYY-MM-DD; default: all days")
    again.set_defaults(run=_reingest)
    doctor = verbs.add_parser("doctor", help="check settings, places, disk, versions, source and daemon")
    doctor.set_defaults(run=_doctor)
    add_evaluate(verbs).set_defaults(run=_evaluate)
    add_sweep(verbs).set_defaults(run=_sweep)
    add_release(verbs).set_defaults(run=_release)
    add_gc(verbs).set_defaults(run=_gc)
    return parser


def _add_jobs(verbs: Any) -> None:
    demo = verbs.add_parser("demo", help="run batch_daily for the last complete day and print what came out")
    demo.set_defaults(run=_demo)
    run = verbs.add_parser("run", help="run a job for one day, or for each day of a range")
    run.add_argument("job", choices=["batch_daily", "sweep_weekly", "speed_hourly"])
    run.add_argument(
        "day",
        nargs="?",
        help="YYYY-MM-DD (speed_hourly: YYYY-MM-DD-HH:00), or first..last; default: the "
        "last complete day, or hour, of the source",
    )
    run.add_argument("--set", action="append", default=[], metavar="STAGE/SUBJECT.FIELD=VALUE", dest="overrides",
                     help="a Launchpad field, e.g. models/als.embedding_size=32")  # fmt: skip
    run.add_argument("--recompute", action="store_true", help="make again what is up to date; digests must not change")
    run.set_defaults(run=_run)


def _demo(_: argparse.Namespace) -> int:
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.launch import last_complete_day, run_job
    from recsys_pipeline.defs.summary import print_summary

    day = last_complete_day()
    _show_steps()
    started = time.monotonic()
    console.print(f"[bold]batch_daily[/bold] for {day}: the last complete day (UTC)")
    outcome = run_job(defs, "batch_daily", day)
    print_summary(console, day, time.monotonic() - started, outcome)
    _print_missing(outcome.missing)
    return 0


def _run(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.backfill import days_between, print_days, run_days
    from recsys_pipeline.defs.launch import last_complete_day, last_complete_hour, run_job

    _show_steps()
    day = parsed.day or (last_complete_hour() if parsed.job == "speed_hourly" else last_complete_day())
    if ".." in day:
        results = run_days(defs, parsed.job, days_between(parsed.job, day), parsed.overrides, parsed.recompute)
        return print_days(console, parsed.job, results)
    started = time.monotonic()
    outcome = run_job(defs, parsed.job, day, parsed.overrides, parsed.recompute)
    console.print(
        f"{parsed.job} {day}: {outcome.made} made, {outcome.reused} up to date, {time.monotonic() - started:.1f} s"
    )
    _print_missing(outcome.missing)
    return 0


def _print_missing(told: str) -> None:
    """The last line, where something of the history is not there."""
    if told:
        console.print(f"[yellow]missing[/yellow]: {escape(told)}", soft_wrap=True)


def _fetch_looks(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.adapters.sources import open_source
    from recsys_pipeline.adapters.sources.fetch_looks import fetch_looks
    from recsys_pipeline.settings import settings

    def show(label: str, counts: Mapping[str, float | int]) -> None:
        console.print(f"{label}  {'  '.join(f'{name} {count:g}' for name, count in counts.items())}")

    found = fetch_looks(open_source(settings()), parsed.limit, show)
    console.print(
        f"{found.present} were there, {found.fetched} fetched, {found.dead} gone from the server, "
        f"{found.failed} failed (run again), {found.left} left by --limit"
    )
    return 0


def _look(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs.look import look_table, open_showroom

    console.print(look_table(open_showroom(parsed.day), parsed.scene, parsed.budget, parsed.products))
    return 0


def _similar(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs.look import open_showcase, similar_table

    console.print(similar_table(open_showcase(parsed.day), parsed.product, parsed.k, parsed.same_category))
    return 0


def _lineage(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs.lineage import lineage_json, open_view, print_lineage

    view = open_view(parsed.artifact, parsed.up, parsed.down, parsed.history)
    if parsed.json:
        print(lineage_json(view))
    else:
        print_lineage(console, view)
    if parsed.html is not None:
        from recsys_pipeline.defs.lineage_cards import write_page  # brings plots and JAX along, which take seconds

        write_page(view, parsed.html)
        if not parsed.json:
            console.print(f"Written {parsed.html}", soft_wrap=True)
    return 0


def _reproduce(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.reproduce import print_reproduction, reproduce

    _show_steps()

    def warn(text: str) -> None:
        console.print(f"[yellow]warning[/yellow]: {escape(text)}", soft_wrap=True)

    outcome = reproduce(defs, parsed.artifact, parsed.keep, warn)
    print_reproduction(console, outcome)
    return 0 if outcome.is_same else 1


def _wandb(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs.mirroring import print_push, print_status

    return print_push(console) if parsed.what == "push" else print_status(console)


def _status(_: argparse.Namespace) -> int:
    from recsys_pipeline.defs.status import print_status

    return print_status(console)


def _doctor(_: argparse.Namespace) -> int:
    from recsys_pipeline.defs.doctor import print_diagnosis

    return print_diagnosis(console)


def _reingest(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.reingesting import print_reingested

    _show_steps()
    return print_reingested(console, defs, parsed.days)


def _sweep(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.defs.sweeping import print_agent, print_run

    _show_steps()
    return print_run(console, defs, parsed) if parsed.kind == "run" else print_agent(console, parsed)


def _release(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs import release_tables, releasing

    if parsed.what == "list":
        return release_tables.print_releases(console)
    if parsed.what == "show":
        return release_tables.print_release(console, parsed.day)
    if parsed.what == "diff":
        return release_tables.print_difference(console, *parsed.days)
    day, force = (parsed.day, parsed.force) if parsed.what == "promote" else (parsed.to, False)
    return releasing.print_moved(console, parsed.what, day, parsed.why, force)


def _gc(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.defs.retention import print_collection

    return print_collection(console, parsed.dry_run, parsed.keep_days, parsed.even_unsent)


def _evaluate(parsed: argparse.Namespace) -> int:
    from recsys_pipeline.evaluate.curve import curve_document, evaluate_curve, print_curve
    from recsys_pipeline.evaluate.output import evaluation_document, print_evaluation, write_json
    from recsys_pipeline.evaluate.request import CurveFile, parse_request
    from recsys_pipeline.evaluate.run import evaluate

    request = parse_request(parsed)
    if isinstance(request.files, CurveFile):
        curve = evaluate_curve(request, request.files, console)
        print_curve(curve, console)
        document = curve_document(curve)
    else:
        evaluation = evaluate(request, request.files, console)
        print_evaluation(evaluation, console)
        document = evaluation_document(evaluation)
    if request.json is not None:
        write_json(document, request.json)
        console.print(f"Written {request.json}", soft_wrap=True)
    return 0


def _show_steps() -> None:
    """Show the step log on this terminal, in UTC as all else is, and nothing else of what libraries log."""
    steps = logging.getLogger("recsys_pipeline.steps")
    steps.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    line = logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S UTC")
    line.converter = time.gmtime
    handler.setFormatter(line)
    steps.addHandler(handler)
    steps.propagate = False


if __name__ == "__main__":
    sys.exit(main())
