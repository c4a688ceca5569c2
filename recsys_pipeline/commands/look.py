"""`recsys look SCENE`: a look for a scene."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.look import look_table, open_showroom


def run(parsed: argparse.Namespace) -> int:
    """Print its products."""
    console.print(look_table(open_showroom(parsed.day), parsed.scene, parsed.budget, parsed.products))
    return 0
