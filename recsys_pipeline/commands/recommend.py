"""`recsys recommend USER…`: lists of what is served now, and why each item stands in them."""

import argparse

from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.serving.policies import policy_named
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.commands.showing.list_table import list_table, new_request
from recsys_pipeline.core.speed.lists import standings
from recsys_pipeline.defs.resources import StoreResource


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print each user's list, with where the user stands."""
    policy = policy_named(parsed.policy)
    served = Served.open(StoreResource().open())
    console.print(f"Served: {served.told}, policy {escape(policy.name)} ({policy.digest[:12]})")
    for user in parsed.users:
        found = served.list_of(new_request(served, parsed, user_id=user), policy)
        (standing,) = standings(served.release, served.overlay, [user], [found.why])
        console.print(f"\n[bold]{escape(user)}[/bold]: {standing.told}", soft_wrap=True)
        console.print(list_table(served, found) if found.places else "nothing is left to recommend")
    return 0
