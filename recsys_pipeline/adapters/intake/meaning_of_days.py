"""Days that were read when their source meant something else: refused before they are mixed with others."""

from collections.abc import Iterable
from datetime import date

from recsys_pipeline.adapters.intake.late_rows import KEY
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SourceError

MEANING = "meaning"
"""Entry of a recipe's config that holds what the source meant when the day, or hour, was read."""


def stored_days(store: ArtifactStore, first: date, last: date) -> list[Artifact]:
    """The days' artifacts that are there, in order."""
    names = [name for name in store.partitions(KEY) if first.isoformat() <= name <= last.isoformat()]
    return [store.get(KEY, name) for name in names if store.is_there(KEY, name)]


def refuse_other_meaning(source: Source, days: Iterable[Artifact]) -> None:
    """Raise `SourceError` where days were read from another place, or when their rows meant something else.

    Names the days, what has changed and the ways out. What only adds (an optional column, an event with a worth)
    passes, and so do days of earlier versions, which recorded nothing.
    """
    other = {day.manifest.recipe.partition: found for day in days if (found := _changes(source, day))}
    if not other:
        return
    names = sorted(other)
    which = names[0] if len(names) == 1 else f"{len(names)} days from {names[0]} to {names[-1]}"
    first_day = source.days().first.isoformat()
    way_out = f"`recsys reingest {names[0]}..{names[-1]}` reads them anew; another source needs another name"
    if names[0] < first_day:
        way_out = f"the source begins on {first_day} now: give what begins there another name, or another RECSYS_HOME"
    raise SourceError(
        f"{which} of {source.name} mean another thing than what would be read now: {'; '.join(other[names[0]])}. "
        f"A snapshot of both would mix them: {way_out}"
    )


def _changes(source: Source, day: Artifact) -> list[str]:
    then = day.manifest.recipe.config.get(MEANING)
    return [] if then is None else list(source.meaning.changes(then))
