"""`recsys compare`: an experiment beside the day's own release."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.comparing import print_comparison


def run(parsed: argparse.Namespace) -> int:
    """Print the tables and write the page."""
    return print_comparison(console, parsed.day, parsed.digest)
