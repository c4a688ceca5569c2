"""`recsys similar PRODUCT`: products that look like a product."""

import argparse

from rich.console import Console

from recsys_pipeline.commands.showing.showroom import open_showcase, similar_table


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print them."""
    console.print(similar_table(open_showcase(parsed.day), parsed.product, parsed.k, parsed.same_category))
    return 0
