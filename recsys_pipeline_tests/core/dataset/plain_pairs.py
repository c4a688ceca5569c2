"""What events mean, the plain way: one event after the other, in order of time."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from recsys_pipeline.core.dataset.events import EXPOSURE_NAMES, EventMeaning, Kind
from recsys_pipeline.core.time import microseconds

Pair = tuple[str, str]


def kind_of(row: dict[str, Any], meaning: EventMeaning) -> Kind:
    """The kind of one event."""
    if row["event"] in meaning.kinds:
        return meaning.kinds[row["event"]]
    if meaning.likes_from is not None and np.float32(row["value"]) < np.float32(meaning.likes_from):
        return "aversion"
    return "exposure" if row["event"] in EXPOSURE_NAMES and row["value"] == 0 else "interest"


def plain_pairs(
    events: Iterable[dict[str, Any]], meaning: EventMeaning
) -> tuple[dict[Pair, tuple[float, int]], set[Pair]]:
    """Value and latest time of each pair that is taken, and the pairs that are avoided."""
    told: dict[Pair, list[tuple[int, bool, float]]] = {}
    for row in events:
        kind = kind_of(row, meaning)
        if kind != "exposure":
            at = microseconds(row["timestamp"])
            told.setdefault((row["user_id"], row["item_id"]), []).append((at, kind == "aversion", row["value"]))
    taken: dict[Pair, tuple[float, int]] = {}
    avoided: set[Pair] = set()
    for pair, rows in told.items():
        liked: list[tuple[int, float]] = []
        for at, is_averse, value in sorted(rows):  # of one time, the aversion comes last
            liked = [] if is_averse else [*liked, (at, value)]
        if liked:
            values = [value for _, value in liked]
            worth = {"max": max(values), "sum": sum(values), "count": len(values), "latest": max(liked)[1]}
            taken[pair] = worth[meaning.pair], liked[-1][0]
        else:
            avoided.add(pair)
    return taken, avoided
