"""How a list is asked for at a shell, and printed: items, titles, scores, and why each stands there."""

import argparse
import uuid
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.core.serving.policy.lists import ServedList
from recsys_pipeline.core.serving.policy.request import Request


def new_request(served: Served, parsed: argparse.Namespace, **asked: Any) -> Request:
    """A request of now; the release's own length where none is asked for."""
    k = served.release.config.k if parsed.k is None else parsed.k
    now_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    return Request(f"shell-{uuid.uuid4().hex[:12]}", now_us, k=k, **asked)


def list_table(served: Served, found: ServedList) -> Table:
    """A row per place."""
    measure = "popularity" if found.why == "popular" and found.request.is_open else "score"
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in ("", "item", "title", measure, "why"):
        table.add_column(heading, justify="right" if heading in ("", measure) else "left")
    titles = served.titles([place.item_id for place in found.places])
    because = served.titles([place.reason.item_id for place in found.places])
    for number, (place, title, other) in enumerate(zip(found.places, titles, because, strict=True), start=1):
        why = place.reason.sentence(other)
        table.add_row(str(number), escape(place.item_id), escape(title), f"{place.score:.3f}", escape(why))
    return table
