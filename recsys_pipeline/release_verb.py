"""`recsys release …` and `recsys gc`: arguments here, work in `releasing`, `release_tables`, `retention` of `defs`."""

import argparse
from typing import Any


def add_release(verbs: Any) -> argparse.ArgumentParser:
    """Add the verb to the command line; `what` says which of its five forms."""
    release = verbs.add_parser("release", help="which release is served: list, show, compare, promote, go back")
    forms = release.add_subparsers(dest="what", required=True)
    forms.add_parser("list", help="every day's release with the gate's decision; the one that is served is marked")
    show = forms.add_parser("show", help="one release: the gate's checks, its figures and its files")
    show.add_argument("day", help="YYYY-MM-DD")
    diff = forms.add_parser("diff", help="two releases: settings, figures, sizes, and how many lists changed")
    diff.add_argument("days", nargs=2, metavar="DAY", help="YYYY-MM-DD")
    promote = forms.add_parser("promote", help="serve the release of a day, newer or older than what is served")
    promote.add_argument("day", help="YYYY-MM-DD")
    promote.add_argument("--force", action="store_true", help="serve what the gate rejected; takes --why")
    rollback = forms.add_parser("rollback", help="serve what was served before; nothing is trained")
    rollback.add_argument("--to", metavar="DAY", help="a promoted day; default: the newest before the one served")
    for form in (promote, rollback):
        form.add_argument("--why", default="", metavar="TEXT", help="a reason, which is kept in the history")
    return release


def add_gc(verbs: Any) -> argparse.ArgumentParser:
    """Add `recsys gc` to the command line."""
    gc = verbs.add_parser("gc", help="delete stored artifacts that nothing needs any more")
    gc.add_argument("--dry-run", action="store_true", help="print what would go, and delete nothing")
    gc.add_argument("--keep-days", type=int, metavar="N", help="days whose artifacts stay (default: 28)")
    gc.add_argument("--even-unsent", action="store_true",
                    help="also what waits to be sent to W&B, which is then told that it is gone")  # fmt: skip
    return gc
