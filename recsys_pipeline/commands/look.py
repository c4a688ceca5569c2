"""`recsys look SCENE`: a look for a scene."""

import argparse

from rich.console import Console

from recsys_pipeline.commands.showing.showroom import look_table, open_showroom


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print its products."""
    console.print(look_table(open_showroom(parsed.day), parsed.scene, parsed.budget, parsed.products))
    return 0
