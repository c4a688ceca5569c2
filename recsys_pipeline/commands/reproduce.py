"""`recsys reproduce ARTIFACT`: make it again, and compare the digests."""

import argparse

from rich.markup import escape

from recsys_pipeline import definitions
from recsys_pipeline.commands.screen import console, show_steps
from recsys_pipeline.defs.reproduce import print_reproduction, reproduce


def run(parsed: argparse.Namespace) -> int:
    """Make it; 1 where it came out otherwise."""
    show_steps()
    outcome = reproduce(definitions.defs, parsed.artifact, parsed.keep, _warn)
    print_reproduction(console, outcome)
    return 0 if outcome.is_same else 1


def _warn(text: str) -> None:
    console.print(f"[yellow]warning[/yellow]: {escape(text)}", soft_wrap=True)
