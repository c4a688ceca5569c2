"""`recsys status`: one screen of what is served, what ran and what failed."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.status import print_status


def run(_: argparse.Namespace) -> int:
    """Print it."""
    return print_status(console)
