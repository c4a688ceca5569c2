"""The `recsys` command: looks a verb up in `commands` and runs it."""

import argparse
import importlib
import signal
import sys

from dotenv import load_dotenv
from rich.markup import escape

from recsys_pipeline.adapters.at_a_shell import typed
from recsys_pipeline.adapters.store.machine_errors import is_of_the_machine, told
from recsys_pipeline.adapters.store.waiting import told_while_silent
from recsys_pipeline.adapters.terminal import fall_silent, is_unread
from recsys_pipeline.commands.options import parser
from recsys_pipeline.commands.screen import console
from recsys_pipeline.core.errors import RecsysError

LOADING_S = 1.0
"""Seconds of silence after which the loading of a verb is told of."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the verb; a reader that leaves the pipe ends it in silence, as SIGPIPE would."""
    try:
        code = _outcome(parser().parse_args(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        if not is_unread():
            raise
        fall_silent()
        return 128 + signal.SIGPIPE
    return code


def _outcome(parsed: argparse.Namespace) -> int:
    """The verb's exit code, or 1 after words on what went wrong on purpose or with the machine.

    A bug keeps its traceback.
    """
    try:
        load_dotenv(".env")  # all of it, as Dagster does for its processes; what the shell has set wins here
        with typed(parsed.verb):
            return _run(parsed)
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


def _run(parsed: argparse.Namespace) -> int:
    """Import the verb's module, alone of all, and run it: so each verb costs what it needs."""
    with told_while_silent("loading the pipeline", _say_beside, first_s=LOADING_S):
        verb = importlib.import_module(f"recsys_pipeline.commands.{parsed.verb.replace('-', '_')}")
    return verb.run(console, parsed)


def _say_beside(line: str) -> None:
    """To the error stream: what a verb prints may be read by a program."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
