"""`recsys sweep run` and `recsys sweep agent`."""

import argparse

from recsys_pipeline import definitions
from recsys_pipeline.commands.screen import console, show_steps
from recsys_pipeline.defs.sweeping import print_agent, print_run


def run(parsed: argparse.Namespace) -> int:
    """Tune a model, or train trials of another's sweep."""
    show_steps()
    return print_run(console, definitions.defs, parsed) if parsed.kind == "run" else print_agent(console, parsed)
