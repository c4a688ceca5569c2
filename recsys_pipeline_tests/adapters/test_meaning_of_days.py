"""Days of another meaning are refused before anything is read, and read again where that is asked for."""

import dataclasses
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake.hourly import ingest_hours
from recsys_pipeline.adapters.intake.ingestion import KEY, Ingested, ingest
from recsys_pipeline.adapters.intake.meaning_of_days import MEANING
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import HOUR, HOUR_KEY, Window
from recsys_pipeline_tests.adapters.arriving import Arriving, a_row_a_day, batch, day, days_read
from recsys_pipeline_tests.adapters.sql_fixtures import at


class Meaning(Arriving):
    """A click is worth what `worth` says."""

    worth = 5.0
    origin = "here"
    moved_from: tuple[str, ...] = ()

    @property
    def meaning(self) -> SourceMeaning:
        return SourceMeaning(WEB_LOG, {"values.click": self.worth}, self.origin, self.moved_from)


@pytest.fixture
def source() -> Meaning:
    return Meaning(a_row_a_day(4).arrives)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def recipe_of(source: Source) -> Callable[[date], Recipe]:
    def recipe(of: date) -> Recipe:
        told = {"source": source.fingerprint(Window.of_day(of)), MEANING: source.meaning.document()}
        return Recipe(KEY, of.isoformat(), (), told, "v1", {})

    return recipe


def take_in(store: ArtifactStore, source: Source, number: int, reread_from: date | None = None) -> Ingested:
    return ingest(store, source, day(number), recipe_of(source), max_quarantine_share=0.0, reread_from=reread_from)


def test_a_changed_worth_is_refused_before_anything_is_read_and_mended_by_reading_again(
    store: ArtifactStore, source: Meaning
) -> None:
    """Eleven days held 5 and three 50, in one snapshot, without a word."""
    take_in(store, source, 2)
    source.worth, reads = 50.0, len(source.read)
    with pytest.raises(
        SourceError, match=r"3 days from 2026-03-01 to 2026-03-03 .*values\.click was 5\.0 and is 50\.0"
    ):
        take_in(store, source, 3)
    assert len(source.read) == reads
    with pytest.raises(SourceError, match="2026-03-01 of arriving mean"):
        take_in(store, source, 3, reread_from=day(1))
    assert days_read(take_in(store, source, 3, reread_from=day(0))) == [day(n).isoformat() for n in range(4)]
    assert source.read[-1] == (day(0), day(3)), "as one stream"
    assert days_read(take_in(store, source, 3)) == []


def test_another_place_is_refused_unless_the_data_moved(store: ArtifactStore, source: Meaning) -> None:
    take_in(store, source, 1)
    source.origin = "there"
    with pytest.raises(SourceError, match=r'moved_from = \["here"\]'):
        take_in(store, source, 2)
    source.moved_from = ("here",)
    take_in(store, source, 2)


def test_days_that_the_source_no_longer_has_cannot_be_read_again(store: ArtifactStore, source: Meaning) -> None:
    take_in(store, source, 1)
    source.worth = 50.0
    later = dataclasses.replace(source.days(), first=day(2))
    source.days = lambda: later  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="begins on 2026-03-03 now: give what begins there another name"):
        take_in(store, source, 3)


def test_days_of_earlier_versions_pass(store: ArtifactStore, source: Meaning) -> None:
    batch(store, source, 1)
    source.worth = 50.0
    take_in(store, source, 3)


def test_hours_of_another_meaning_are_read_again(store: ArtifactStore, source: Meaning) -> None:
    def hour_recipe(window: Window) -> Recipe:
        told = {"source": "", MEANING: source.meaning.document()}
        return Recipe("speed/interactions", window.start.strftime(HOUR_KEY), (), told, "v1", {})

    def read(number: int) -> int:
        window = Window.of_hour(at(number))
        found = ingest_hours(store, source, window, at(0), hour_recipe, late_hours=0, max_quarantine_share=0.0)
        return len([one for one in found.artifacts if not one.reused])

    assert (read(1), read(2)) == (2, 1)
    source.worth = 50.0
    assert read(3) == 4
    assert at(0) + HOUR == at(1)
