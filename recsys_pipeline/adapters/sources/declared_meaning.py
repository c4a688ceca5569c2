"""From a source's TOML to what its events mean; what it does not declare is assumed, and said in words."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from recsys_pipeline.adapters.sources.described_tables import Events as Interactions
from recsys_pipeline.adapters.sources.described_tables import EventsSection
from recsys_pipeline.core.dataset.events import AVERSION_NAMES, EventMeaning, Kind, by_worth
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning

PLACE = frozenset(
    {"path", "table", "layout", "date_pattern", "settle_days", "fields", "watermark", "first_year", "last_year"}
)
"""Keys of `[interactions]` that say where rows are, how files are cut and which times pass, and not what a row says."""


def declared_meaning(
    interactions: Interactions | None, section: EventsSection, origin: str, moved_from: tuple[str, ...]
) -> SourceMeaning:
    """What a source's TOML says; of a source without interactions nothing."""
    if interactions is None:
        return SourceMeaning()
    return SourceMeaning(
        events=event_meaning(interactions, section),
        reading=_flat(interactions.model_dump(mode="json", exclude_defaults=True, exclude=set(PLACE))),
        origin=hashlib.sha256(origin.encode()).hexdigest()[:12],
        moved_from=moved_from,
        assumed=_assumed(interactions, section),
        declared=frozenset(section.meaning),
    )


def together(parts: Sequence[SourceMeaning]) -> SourceMeaning:
    """What several tables of one source say, each of its own rows; their events are judged by one rule."""
    if len(parts) == 1:
        return parts[0]
    kinds = {event: kind for part in parts for event, kind in part.events.kinds.items()}
    reading = {f"{number}.{key}": said for number, part in enumerate(parts, 1) for key, said in part.reading.items()}
    origin = hashlib.sha256(" ".join(part.origin for part in parts).encode()).hexdigest()[:12]
    events = dataclasses.replace(parts[0].events, kinds=kinds)
    return dataclasses.replace(parts[0], events=events, reading=reading, origin=origin)


def event_meaning(interactions: Interactions, section: EventsSection) -> EventMeaning:
    """The declared meaning. By default an event is interest where it is worth something, and a rating where it is 0 or
    more, or above the middle of its scale."""
    asked: dict[str, Kind] = dict.fromkeys(AVERSION_NAMES, "aversion")
    if interactions.columns.value is not None:
        likes_from = section.likes_from
        if likes_from is None:
            likes_from = sum(section.scale) / 2 if section.scale is not None else 0.0
        return EventMeaning({**asked, **section.meaning}, likes_from, section.pair or "latest", section.repeats)
    worths = interactions.values.items()
    by_name: dict[str, Kind] = {event: asked.get(event, by_worth(worth)) for event, worth in worths}
    return EventMeaning({**by_name, **section.meaning}, None, section.pair or "max", section.repeats)


def _assumed(interactions: Interactions, section: EventsSection) -> Mapping[str, str]:
    """What stands for each key that is not there, in words."""
    told = {}
    by_value = interactions.columns.value is not None
    if section.pair is None:
        rule = "the latest value" if by_value else "the largest worth"
        told["pair"] = f"of several events of a (user, item) pair {rule} counts"
    if "repeats" not in section.model_fields_set:
        told["repeats"] = "rows equal in user, item, event, time and request are one event"
    if by_value and section.scale is None and section.likes_from is None:
        told["scale"] = "values of 0 or more are interest, values below 0 aversion"
    return told


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A document with its tables unfolded: `columns.user_id` to its value."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = json.loads(json.dumps(value))  # as a manifest gives it back
    return found
