"""`recsys lineage ARTIFACT`: what it was made from and went into."""

import argparse

from rich.console import Console

from recsys_pipeline.commands.showing.lineage_tree import lineage_json, open_view, print_lineage


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the tree or JSON, and write the page where one is asked for."""
    view = open_view(parsed.artifact, parsed.up, parsed.down, parsed.history)
    if parsed.json:
        print(lineage_json(view))
    else:
        print_lineage(console, view)
    if parsed.html is not None:
        from recsys_pipeline.commands.showing.lineage_cards import (
            write_page,  # brings plots and JAX along, which take seconds
        )

        write_page(view, parsed.html)
        if not parsed.json:
            console.print(f"Written {parsed.html}", soft_wrap=True)
    return 0
