"""`recsys gc`: delete what nothing needs."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.retention import print_collection


def run(parsed: argparse.Namespace) -> int:
    """Delete it, or say what would go."""
    return print_collection(console, parsed.dry_run, parsed.keep_days, parsed.even_unsent)
