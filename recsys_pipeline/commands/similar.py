"""`recsys similar PRODUCT`: products that look like a product."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.look import open_showcase, similar_table


def run(parsed: argparse.Namespace) -> int:
    """Print them."""
    console.print(similar_table(open_showcase(parsed.day), parsed.product, parsed.k, parsed.same_category))
    return 0
