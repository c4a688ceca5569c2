"""`recsys lineage` and `recsys reproduce`: arguments here, work in `defs/lineage.py` and `defs/reproduce.py`."""

import argparse
from pathlib import Path
from typing import Any


def add_lineage(verbs: Any) -> tuple[argparse.ArgumentParser, ...]:
    """Add the two verbs to the command line."""
    lineage = verbs.add_parser("lineage", help="what an artifact was made from, and what was made from it")
    lineage.add_argument("--up", action="store_true", help="only what it was made from")
    lineage.add_argument("--down", action="store_true", help="only what was made from it")
    lineage.add_argument("--history", action="store_true", help="follow artifacts of other days too")
    lineage.add_argument("--html", type=Path, metavar="FILE", help="write a page with the graph and every manifest")
    lineage.add_argument("--json", action="store_true", help="print JSON instead of the tree")
    again = verbs.add_parser("reproduce", help="make an artifact again from its manifest and compare the digests")
    again.add_argument("--keep", action="store_true", help="keep what was made, below <RECSYS_HOME>/reproduced")
    for verb in (lineage, again):
        verb.add_argument("artifact", help="models/als, models/als@2026-01-05, a digest or the start of one")
    return lineage, again
