"""`recsys recommend USER…`: lists of what is served now."""

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.core.serving.recommend import Recommendations
from recsys_pipeline.defs.resources import StoreResource


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print each user's list, with where the user stands."""
    served = Served.open(StoreResource().open())
    found = served.recommend(parsed.users, parsed.k)
    console.print(f"Served: {served.told}")
    for place, standing in enumerate(served.standings(found)):
        console.print(f"\n[bold]{escape(found.user_ids[place])}[/bold]: {standing.told}", soft_wrap=True)
        console.print(_list(served, found, place) if found.of(place) else "nothing is left to recommend")
    return 0


def _list(served: Served, found: Recommendations, place: int) -> Table:
    measure = "popularity" if found.why[place] == "popular" else "score"
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in ("", "item", "title", measure):
        table.add_column(heading, justify="right" if heading in ("", measure) else "left")
    items = found.of(place)
    lines = zip(items, served.titles(items), found.scores[place], strict=False)  # places without an item are last
    for number, (item, title, score) in enumerate(lines, start=1):
        table.add_row(str(number), escape(item), escape(title), f"{score:.3f}")
    return table
