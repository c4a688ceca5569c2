"""`recsys fetch-looks`: the images of a source's looks, from their addresses."""

import argparse
from collections.abc import Mapping

from rich.console import Console

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.sources.fetch_looks import fetch_looks
from recsys_pipeline.settings import settings


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Fetch what is not there yet, and count."""
    found = fetch_looks(open_source(settings()), parsed.limit, lambda label, counts: _show(console, label, counts))
    console.print(
        f"{found.present} were there, {found.fetched} fetched, {found.dead} gone from the server, "
        f"{found.failed} failed (run again), {found.left} left by --limit"
    )
    return 0


def _show(console: Console, label: str, counts: Mapping[str, float | int]) -> None:
    console.print(f"{label}  {'  '.join(f'{name} {count:g}' for name, count in counts.items())}")
