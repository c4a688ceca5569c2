"""`recsys doctor`: what is wrong with the settings, places and source, each with its remedy."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.doctor import print_diagnosis


def run(_: argparse.Namespace) -> int:
    """Print it; 1 where something is wrong."""
    return print_diagnosis(console)
