"""What a source's events are taken for, said where they are read: in the step log and as metadata of the day."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.core.dataset.event_counts import kinds_counted
from recsys_pipeline.core.dataset.event_doubts import doubts, kinds_told
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.defs.step_log import steps


def say_what_events_mean(source: Source, days: Sequence[Artifact]) -> dict[str, Any]:
    """Rows of the days that were read now, by event and kind; and what is only assumed, as warnings."""
    fresh = [day for day in days if not day.reused]
    counted = kinds_counted(day.manifest.metrics for day in fresh)
    repeats = sum(day.manifest.metrics.get("repeats", 0) for day in fresh)
    told, doubtful = kinds_told(counted, repeats), list(doubts(source.meaning, counted, repeats))
    if fresh:
        steps.info("  events: %s", told or "none")
    for doubt in doubtful:
        steps.warning("  %s: %s", doubt.what, doubt.remedy)
    for name, assumed in source.meaning.assumed.items():
        steps.info("  [events] %s is not set: %s", name, assumed)
    shown: dict[str, Any] = {"what events mean": told, "in doubt": [f"{one.what}: {one.remedy}" for one in doubtful]}
    shown["assumed"] = dict(source.meaning.assumed)
    return {name: dg.MetadataValue.json(value) for name, value in shown.items() if value}
