"""What is served is late by the day and hour that it knows, however often something was run since."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.serving.overlays import KEY as OVERLAY
from recsys_pipeline.adapters.serving.releases import promote_if_newer
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.commands.status import _late
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import HOUR_KEY
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs import freshness as module
from recsys_pipeline.defs.archives import newest_moment
from recsys_pipeline.defs.freshness import CHAMPION, champion_freshness, champion_is_fresh, freshness, overlay_freshness
from recsys_pipeline.defs.resources import SourceResource, StoreResource
from recsys_pipeline_tests.adapters.release_artifacts import promotable, recipe

DAYS = ("2026-01-05", "2026-01-06")
END = datetime(2026, 1, 7, tzinfo=UTC)
"""Of the newer day."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def served(store: ArtifactStore) -> Artifact:
    """Both days are released; the newer one is the champion."""
    for day in DAYS:
        release, decision = promotable(store, day)
        promote_if_newer(store, release, decision)
    return release


def overlaid(store: ArtifactStore, release: Artifact, hour: datetime, text: str = "") -> None:
    """An overlay of the hour that begins then."""

    def build(directory: Path) -> Built:
        (directory / "users.txt").write_text(f"{hour} {text}")
        return Built({})

    store.build(recipe(OVERLAY, hour.strftime(HOUR_KEY), (release.manifest.ref,), text=text), build)


@pytest.mark.parametrize(("hours", "fresh", "severity"), [(1, True, "WARN"), (30, True, "WARN"), (31, False, "WARN"),
                                                          (37, False, "ERROR")])  # fmt: skip
def test_a_champion_is_late_by_its_day(store: ArtifactStore, hours: int, fresh: bool, severity: str) -> None:
    served(store)
    found = champion_freshness(store, END + timedelta(hours=hours))
    assert found is not None
    assert (found.partition, found.is_fresh, found.severity.value) == (DAYS[1], fresh, severity)
    assert ("late" in _late(found)) is not fresh


def test_an_older_day_that_is_made_again_changes_nothing(store: ArtifactStore) -> None:
    served(store)
    now = END + timedelta(days=3)
    before = champion_freshness(store, now)
    release, decision = promotable(store, DAYS[0], text="again")
    promote_if_newer(store, release, decision)
    assert champion_freshness(store, now) == before
    assert before is not None
    assert not before.is_fresh


def test_an_overlay_is_late_by_its_hour(store: ArtifactStore) -> None:
    release, hour = served(store), timedelta(hours=1)
    assert overlay_freshness(store, END) is None, "nobody asked for overlays"
    overlaid(store, release, END)
    overlaid(store, release, END + hour)
    for minutes, fresh in ((90, True), (110, False)):
        found = overlay_freshness(store, END + 2 * hour + timedelta(minutes=minutes))
        assert found is not None
        assert (found.partition, found.is_fresh) == ("2026-01-07-01:00", fresh)
    overlaid(store, release, END, "again")
    again = overlay_freshness(store, END + 9 * hour)
    assert again is not None
    assert (again.partition, again.severity.value) == ("2026-01-07-01:00", "ERROR")


def test_a_champion_without_an_overlay_knows_what_the_champion_knows(store: ArtifactStore) -> None:
    first, decision = promotable(store, DAYS[0])
    promote_if_newer(store, first, decision)
    overlaid(store, first, END - timedelta(days=1))
    served(store)
    found = overlay_freshness(store, END + timedelta(hours=4))
    assert found is not None
    assert (found.partition, found.is_fresh) == (DAYS[1], False)


@pytest.mark.parametrize(("last", "fresh"), [("2026-01-06", True), ("2026-01-08", False), (None, False)])
def test_the_end_of_an_archive_is_as_new_as_it_gets(store: ArtifactStore, last: str | None, fresh: bool) -> None:
    served(store)
    days = DayRange(date(2026, 1, 1), None if last is None else date.fromisoformat(last))
    found = champion_freshness(store, newest_moment(opener(lambda: days), END + timedelta(days=900)))
    assert found is not None
    assert found.is_fresh is fresh


def test_a_source_that_is_away_makes_nothing_fresh() -> None:
    def away() -> DayRange:
        raise SourceError("the database does not answer")

    assert newest_moment(opener(away), END) == END


def opener(days: Callable[[], DayRange]) -> Any:
    return lambda: SimpleNamespace(days=days)


def test_the_sensor_writes_a_verdict_down_where_it_changes(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        at = END + timedelta(hours=2)

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # noqa: ARG003 - as `datetime.now`
            return cls.at

    monkeypatch.setattr(StoreResource, "open", lambda _: store)
    monkeypatch.setattr(module, "datetime", Clock)
    resources: Any = {"store": StoreResource(), "source": SourceResource()}
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(cursor: str | None) -> Any:
            return freshness(dg.build_sensor_context(instance, cursor, resources=resources))

        assert isinstance(tick(None), dg.SkipReason)
        served(store)
        first = tick(None)
        assert [event.passed for event in first.asset_events] == [True]
        assert isinstance(tick(first.cursor), dg.SkipReason)
        Clock.at = END + timedelta(hours=40)
        second = tick(first.cursor)
        (event,) = second.asset_events
        assert (event.passed, event.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert event.asset_check_key in set(defs.resolve_asset_graph().asset_check_keys)
        instance.report_runless_asset_event(event)
        key = dg.AssetCheckKey(dg.AssetKey.from_user_string(CHAMPION), "is_fresh")
        shown = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert shown.status.value == "FAILED", "what the UI shows"
    judged: Any = champion_is_fresh(**resources)
    assert not judged.passed


def test_nothing_is_judged_by_when_it_was_last_touched() -> None:
    graph = defs.resolve_asset_graph()
    assert [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None] == []
    assert defs.resolve_sensor_def("freshness").default_status is dg.DefaultSensorStatus.RUNNING
