"""`recsys fetch-looks`, `look` and `similar`: arguments here, work in `defs/look.py` and `adapters/sources/`."""

import argparse
from typing import Any


def add_looks(verbs: Any) -> tuple[argparse.ArgumentParser, ...]:
    """Add the three verbs to the command line."""
    fetch = verbs.add_parser("fetch-looks", help="bring the images of a source's looks from their addresses; resumable")
    fetch.add_argument("--limit", type=int, metavar="N", help="ask for no more than N images in this call")
    look = verbs.add_parser("look", help="recommend a look for a scene: one product of each category that it lacks")
    look.add_argument("scene", help="a scene's id")
    look.add_argument("--budget", type=float, metavar="AMOUNT", help="what the look may cost, in the unit of prices")
    look.add_argument("--products", type=int, default=5, metavar="N", help="at most so many (default: 5)")
    similar = verbs.add_parser("similar", help="products on sale whose pictures look most like a product's")
    similar.add_argument("product", help="a product's id")
    similar.add_argument("--k", type=int, default=10, metavar="N", help="how many (default: 10)")
    similar.add_argument("--same-category", action="store_true", help="only products of its category")
    look.add_argument("--day", help="YYYY-MM-DD; default: the newest day that has a model of looks")
    similar.add_argument("--day", help="YYYY-MM-DD; default: the newest day whose pictures were embedded")
    return fetch, look, similar
