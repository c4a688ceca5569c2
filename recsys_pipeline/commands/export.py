"""`recsys export lists --to FILE.parquet`: every user's list, in one file."""

import argparse
import time
from pathlib import Path

from rich.console import Console

from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.adapters.store.list_file import Exported, write_lists
from recsys_pipeline.defs.resources import StoreResource

SAID_EVERY_S = 5.0


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Write the file, with a line every few seconds."""
    served, started = Served.open(StoreResource().open()), time.monotonic()
    console.print(f"Served: {served.told}")
    said = [started]

    def show(n_users: int) -> None:
        if time.monotonic() - said[0] > SAID_EVERY_S:
            said[0] = time.monotonic()
            console.print(f"{n_users:,} of {served.n_users:,} users")

    _print(console, write_lists(served, parsed.to, parsed.k, show), parsed.to, time.monotonic() - started)
    return 0


def _print(console: Console, done: Exported, path: Path, seconds: float) -> None:
    short = f", {done.n_short:,} shorter than {done.k}" if done.n_short else ""
    counts = f"{done.n_users:,} lists{short}, {done.n_rows:,} rows, {seconds:.1f} s"
    console.print(f"Written {path}: {counts}", soft_wrap=True)
