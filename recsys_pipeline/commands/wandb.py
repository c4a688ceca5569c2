"""`recsys wandb push` and `recsys wandb status`."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.mirroring import print_push, print_status


def run(parsed: argparse.Namespace) -> int:
    """Send what waits, or say what does."""
    return print_push(console) if parsed.what == "push" else print_status(console)
