"""What a source's events are taken for, in words, and where people should say whether that is right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recsys_pipeline.core.dataset.events import AVERSION_NAMES, EXPOSURE_NAMES, Kind
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning

Counts = Mapping[tuple[str, Kind], int]


@dataclass(frozen=True)
class Doubt:
    """Something that nobody declared and that may be meant otherwise; `remedy` names the key."""

    what: str
    remedy: str


def kinds_told(counts: Counts, repeats: int) -> str:
    """Rows by event and kind, in one line.

    >>> kinds_told({("click", "interest"): 1200, ("view", "exposure"): 3}, 0)
    '1,200 click as interest, 3 view as exposure'
    """
    told = [f"{rows:,} {event} as {kind}" for (event, kind), rows in counts.items()]
    return ", ".join([*told, f"{repeats:,} repeats"] if repeats else told)


def doubts(meaning: SourceMeaning, counts: Counts, repeats: int) -> Iterator[Doubt]:
    """What the counts of a source's rows give reason to ask, of what is only assumed."""
    if repeats and "repeats" in meaning.assumed:
        yield Doubt(
            f"{repeats:,} rows repeat another row's user, item, event and time, and count once",
            'say [events] repeats = "one" if that is right, "count" if each is an event of its own',
        )
    for (event, kind), rows in counts.items():
        if event in (*EXPOSURE_NAMES, *AVERSION_NAMES) and event not in meaning.declared:
            yield Doubt(
                f"{rows:,} events {event!r} are taken for {kind}, which nobody declared",
                f'say [events.meaning] {event} = "interest", "exposure" or "aversion"',
            )
        elif kind == "aversion" and "scale" in meaning.assumed and event not in meaning.declared:
            yield Doubt(
                f"{rows:,} events {event!r} have a value below 0 and are taken for aversion",
                "say [events] scale = [lowest, highest] or likes_from = x, from where on values are interest",
            )
