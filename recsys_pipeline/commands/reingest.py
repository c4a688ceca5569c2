"""`recsys reingest [FIRST..LAST]`: read days from the source again."""

import argparse

from recsys_pipeline import definitions
from recsys_pipeline.commands.screen import console, show_steps
from recsys_pipeline.defs.reingesting import print_reingested


def run(parsed: argparse.Namespace) -> int:
    """Read them, and say what changed."""
    show_steps()
    return print_reingested(console, definitions.defs, parsed.days)
