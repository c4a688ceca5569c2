"""What `recsys doctor` says of a source's events: what they are taken for, and whether stored days mean the same."""

from collections.abc import Iterator
from datetime import date

from recsys_pipeline.adapters.intake.meaning_of_days import refuse_other_meaning, stored_days
from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.sources.drafts.source_sample import look_at_events
from recsys_pipeline.commands.diagnosis.findings import Finding
from recsys_pipeline.core.dataset.event_doubts import kinds_told
from recsys_pipeline.core.dataset.sources import ChecksTables, Source
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.defs.resources import open_store
from recsys_pipeline.settings import Settings


def check_events(deployment: Settings) -> Iterator[Finding]:
    """What the newest events are taken for, and what nobody declared of that; a simulator declares all of its own."""
    source = _opened(deployment)
    if source is None or "interactions" not in source.provides or not isinstance(source, ChecksTables):
        return
    try:
        seen = look_at_events(source)
    except RecsysError as error:
        yield Finding("events", "wrong", f"they cannot be looked at: {error}", "see docs/data.md")
        return
    told = kinds_told(seen.counts, seen.repeats) or "none"
    yield Finding("events", "ok", f"{told} (of the newest {seen.rows:,} rows)")
    yield from (Finding("events", "warning", doubt.what, doubt.remedy) for doubt in seen.doubts)


def check_days(deployment: Settings) -> Iterator[Finding]:
    """Whether the days that are there were read when the source meant what it means now."""
    source = _opened(deployment)
    if source is None:
        return
    try:
        days = stored_days(open_store(deployment, source.name), date.min, date.max)
        refuse_other_meaning(source, days)
    except RecsysError as error:
        yield Finding("stored days", "wrong", str(error), "see docs/data.md")
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        what = f"they cannot be looked at: {type(error).__name__}: {error}"
        yield Finding("stored days", "wrong", what, "see the finding on the artifact store")
    else:
        yield Finding("stored days", "ok", f"{len(days)} days mean what the source means now")


def _opened(deployment: Settings) -> Source | None:
    """None where it cannot be opened at all, which the finding on the source says."""
    try:
        return open_source(deployment)
    except RecsysError:
        return None
