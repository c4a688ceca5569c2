"""What a source's stored rows mean, recorded with each day: days that mean different things are never mixed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.dataset.events import EventMeaning

ORIGIN = "origin"
ADDITIONS = ("columns.request_id", "columns.position", "columns.propensity", "columns.session_id", "columns.context")
"""Optional columns: days that have one more than earlier days say nothing else of what those say."""
WORTHS = "values."
"""Worths of events: an event that earlier days did not have changes nothing that they say."""


@dataclass(frozen=True)
class SourceMeaning:
    """How rows are read into events, where from, and what the events mean."""

    events: EventMeaning = field(default_factory=EventMeaning)
    reading: Mapping[str, Any] = field(default_factory=dict)
    """What decides what a stored row says (columns, worths, units), flat: key of the TOML to its value."""
    origin: str = ""
    """A mark of the place that rows come from; "" where the source is the same wherever it runs."""
    moved_from: tuple[str, ...] = ()
    """Marks of places at which the same data lay before."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    """What nobody declared: a key of `[events]` to what is taken for granted in its place, in words."""
    declared: frozenset[str] = frozenset()
    """Events whose meaning somebody declared by name."""

    def document(self) -> dict[str, Any]:
        """What a day records; the meaning of events is applied when days are read, and so recorded with snapshots."""
        return {ORIGIN: self.origin, "repeats": self.events.repeats, **dict(sorted(self.reading.items()))}

    def changes(self, then: Mapping[str, Any]) -> Iterator[str]:
        """How this differs from what a day recorded, in words, additions left out."""
        now = self.document()
        for name in sorted(then.keys() | now.keys()):
            before, after = then.get(name), now.get(name)
            if before == after or (name not in then and name.startswith((*ADDITIONS, WORTHS))):
                continue
            if name != ORIGIN:
                yield f"{name} was {_told(before)} and is {_told(after)} now"
            elif before not in self.moved_from:
                yield (
                    f"they come from another place (marked {before}, now {after}); where the same data has moved, say "
                    f'moved_from = ["{before}"] at the top of its TOML'
                )


def _told(value: Any) -> str:
    return "absent" if value is None else repr(value)
