"""`recsys related ITEM…`: what goes with an item, of what is served now."""

import argparse

from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.serving.policies import policy_named
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.commands.showing.list_table import list_table, new_request
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.defs.resources import StoreResource


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print each item's list."""
    policy = policy_named(parsed.policy)
    served = Served.open(StoreResource().open())
    for item in parsed.items:
        if served.offer.rows([item])[0] < 0:
            raise DataError(f"{served.told} has no item {item!r}")
        found = served.list_of(new_request(served, parsed, around=item, user_id=parsed.user), policy)
        console.print(f"\n[bold]{escape(item)}[/bold] {escape(served.titles([item])[0])}", soft_wrap=True)
        console.print(list_table(served, found) if found.places else "nothing goes with it")
    return 0
