"""When each release was served, from the moves of the pointer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys_pipeline.adapters.serving.releases import Move


@dataclass(frozen=True)
class Span:
    """From one move to the next that served another release."""

    start: str
    """ISO times, UTC."""
    end: str = ""
    """Empty while it is served."""
    forced: bool = False
    """Whether the gate had rejected it."""


def served_spans(moves: Sequence[Move]) -> Mapping[tuple[str, str], Sequence[Span]]:
    """By day and version, when it was served, in the order of the moves, whatever clocks said."""
    found: dict[tuple[str, str], list[Span]] = {}
    before: Move | None = None
    for move in moves:
        if not move.serves or (before and (before.day, before.version) == (move.day, move.version)):
            continue
        if before is not None:
            last = found[before.day, before.version].pop()
            found[before.day, before.version].append(Span(last.start, move.at, last.forced))
        found.setdefault((move.day, move.version), []).append(Span(move.at, forced=move.forced))
        before = move
    return found


def in_words(spans: Sequence[Span]) -> str:
    """The newest of them as a list shows it, to the minute, and how often it was served if more than once."""
    if not spans:
        return "never served"
    last, often = spans[-1], f"{len(spans)}×, last " if len(spans) > 1 else ""
    words = f"{often}{_minute(last.start)}–{_minute(last.end) if last.end else 'now'}"
    return words + (", forced" if last.forced else "")


def _minute(at: str) -> str:
    """Without the year, which the day beside it has."""
    return at[5:16].replace("T", " ")
