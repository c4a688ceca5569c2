"""`recsys search WORDS…`: items that words describe, of what is served now."""

import argparse

from rich.console import Console

from recsys_pipeline.adapters.serving.policies import policy_named
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.commands.showing.list_table import list_table, new_request
from recsys_pipeline.defs.resources import StoreResource


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the best matches."""
    policy = policy_named(parsed.policy)
    served = Served.open(StoreResource().open())
    found = served.list_of(new_request(served, parsed, query=" ".join(parsed.words), user_id=parsed.user), policy)
    console.print(list_table(served, found) if found.places else "no item on sale has one of these words")
    return 0 if found.places else 1
