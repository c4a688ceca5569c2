"""`recsys release list`, `show`, `diff`, `promote` and `rollback`."""

import argparse

from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs import release_tables, releasing


def run(parsed: argparse.Namespace) -> int:
    """Print what is asked for, or move what is served."""
    if parsed.what == "list":
        return release_tables.print_releases(console)
    if parsed.what == "show":
        return release_tables.print_release(console, parsed.day)
    if parsed.what == "diff":
        return release_tables.print_difference(console, *parsed.days)
    day, force = (parsed.day, parsed.force) if parsed.what == "promote" else (parsed.to, False)
    return releasing.print_moved(console, parsed.what, day, parsed.why, force)
