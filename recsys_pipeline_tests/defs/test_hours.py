"""The hourly partitions and the schedule over them: bounded, at five past, caught up in order and once."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.adapters.serving.overlays import KEY, hours_since, newest_overlay, release_under
from recsys_pipeline.adapters.serving.releases import RELEASE, promote, rollback
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.serving.sealed import seal
from recsys_pipeline.core.time import Window
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.partitions import hourly_partitions
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline_tests.deployment import Deployment

TODAY = date(2026, 6, 30)


def keys(days: DayRange, newest_days: int, now: datetime = datetime(2026, 6, 30, 12, tzinfo=UTC)) -> list[str]:
    with dg.partition_loading_context(effective_dt=now):
        return list(hourly_partitions(days, TODAY, newest_days).get_partition_keys())


def test_hours_are_those_of_the_newest_days_that_have_passed() -> None:
    found = keys(DayRange(date(2026, 1, 1), None), newest_days=60)
    assert (found[0], found[-1]) == ("2026-05-02-00:00", "2026-06-30-11:00")
    assert keys(DayRange(date(2026, 6, 29), None), 60)[0] == "2026-06-29-00:00", "not before the source's first day"
    assert keys(DayRange(date(2026, 1, 1), None), 0)[0] == "2026-01-01-00:00", "0 takes all"


def test_hours_of_an_archive_end_with_its_last_day() -> None:
    found = keys(DayRange(date(2013, 2, 28), date(2013, 11, 6)), newest_days=60)
    assert (found[0], found[-1]) == ("2013-09-08-00:00", "2013-11-06-23:00")
    assert len(found) == 60 * 24


def release(store: ArtifactStore, day: str) -> Artifact:
    """A promoted release of a day that holds nothing."""
    made = store.build(Recipe(RELEASE, day, (), {}, "v1", {}), lambda folder: _seal(folder, day))
    promote(store, day, why="test", force=True)
    return made


def _seal(folder: Path, day: str) -> Built:
    seal(folder, "release.json", {"format": 1, "day": day, "config": {"k": 10, "popularity_half_life_hours": 1.0}})
    return Built({})


def overlay(store: ArtifactStore, hour: str, below: Artifact) -> Artifact:
    recipe = Recipe(KEY, hour, (below.manifest.ref,), {}, "v1", {})
    return store.build(recipe, lambda folder: Built({"bytes": (folder / "x").write_text(hour)}))


@pytest.fixture
def store(deployment: Deployment) -> Iterator[ArtifactStore]:
    with deployment.active():
        yield deployment.store


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def tick(moment: datetime, instance: dg.DagsterInstance) -> tuple[list[str], str | None]:
    """Hours that a tick asks for; they are left in the instance as queued runs."""
    found = defs.resolve_schedule_def("speed_hourly")
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=moment, repository_def=defs.get_repository_def(),
        resources={"store": StoreResource()},
    )  # fmt: skip
    told = found.evaluate_tick(context)
    requests = told.run_requests or []
    for request in requests:
        add_run(instance, dict(request.tags))
    return [str(request.partition_key) for request in requests], told.skip_message


def add_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name="speed_hourly", tags=tags, status=dg.DagsterRunStatus.STARTED))


def end_runs(instance: dg.DagsterInstance, failed: Collection[str] = (), canceled: Collection[str] = ()) -> None:
    """End every run; where an hour fails, so does the retry that Dagster starts by itself."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        hour = run.tags["dagster/partition"]
        if hour in canceled:
            instance.report_run_canceled(run)
        elif hour in failed:
            instance.report_run_failed(run)
            retry = {"dagster/parent_run_id": run.run_id, "dagster/root_run_id": run.run_id}
            instance.report_run_failed(add_run(instance, {**run.tags, **retry}))
        else:
            succeeded = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
            instance.report_dagster_event(succeeded, run.run_id)


def at(hour: int, day: int = 13) -> datetime:
    return datetime(2026, 1, day, hour, 5, tzinfo=UTC)


def test_the_speed_layer_runs_at_five_past(store: ArtifactStore) -> None:
    schedule = defs.resolve_schedule_def("speed_hourly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 * * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.instance_for_test() as instance:
        assert tick(at(1), instance) == (
            [],
            "no release has been promoted yet, and an overlay stands on one: run batch_daily",
        )
        below = release(store, "2026-01-12")
        assert tick(at(1), instance)[0] == ["2026-01-13-00:00"]
        overlay(store, "2026-01-13-00:00", below)
        assert tick(at(2), instance)[0] == ["2026-01-13-01:00"]


def test_a_day_without_the_daemon_is_caught_up_in_order_and_once(store: ArtifactStore) -> None:
    below = release(store, "2026-01-12")
    overlay(store, "2026-01-13-04:00", below)
    with dg.instance_for_test() as instance:
        asked, _ = tick(at(5, day=14), instance)
        assert asked == [f"2026-01-13-{hour:02d}:00" for hour in range(5, 24)] + [
            f"2026-01-14-{hour:02d}:00" for hour in range(5)
        ]
        assert tick(at(6, day=14), instance)[0] == ["2026-01-14-05:00"], "what waits is not asked for again"
        for hour in asked[:3]:
            overlay(store, hour, below)
        assert tick(at(6, day=14), instance)[0] == []


OUTAGE = ["2026-01-13-00:00", "2026-01-13-01:00"]


def after_an_outage(store: ArtifactStore, instance: dg.DagsterInstance) -> Artifact:
    """Two hours failed, each with its retry, and the third has succeeded; returns the release below."""
    below = release(store, "2026-01-12")
    for hour, key in enumerate(OUTAGE, 1):
        assert tick(at(hour), instance)[0] == [key], "while nothing succeeds, each hour is asked for once"
        end_runs(instance, failed=OUTAGE)
    assert tick(at(3), instance)[0] == ["2026-01-13-02:00"]
    end_runs(instance)
    overlay(store, "2026-01-13-02:00", below)
    return below


def test_hours_that_failed_are_asked_for_again_in_order_once_a_later_one_succeeded(store: ArtifactStore) -> None:
    with dg.instance_for_test() as instance:
        after_an_outage(store, instance)
        assert tick(at(4), instance)[0] == ["2026-01-13-03:00", *OUTAGE], "the new hour does not wait for old ones"
        assert tick(at(4), instance)[0] == [], "what waits is not asked for again"
        end_runs(instance)
        assert tick(at(5), instance)[0] == ["2026-01-13-04:00"], "what has succeeded is done with"


def test_a_poisoned_hour_is_given_up_and_named(store: ArtifactStore) -> None:
    poisoned = OUTAGE[0]
    with dg.instance_for_test() as instance:
        below = after_an_outage(store, instance)
        for hour in (4, 5):
            assert poisoned in tick(at(hour), instance)[0]
            end_runs(instance, failed=[poisoned])
            overlay(store, f"2026-01-13-{hour - 1:02d}:00", below)
        assert tick(at(6), instance)[0] == ["2026-01-13-05:00"], "asked for three times"
        overlay(store, "2026-01-13-05:00", below)
        asked, why = tick(at(6), instance)
        assert asked == []
        assert why is not None
        assert f"given up after 3 failed runs: {poisoned}; mend the cause" in why


def test_what_a_person_cancelled_is_not_asked_for_again(store: ArtifactStore) -> None:
    with dg.instance_for_test() as instance:
        after_an_outage(store, instance)
        tick(at(4), instance)
        end_runs(instance, canceled=OUTAGE)
        assert tick(at(5), instance)[0] == ["2026-01-13-04:00"]


def test_a_failed_hour_is_left_to_people_after_a_week(store: ArtifactStore) -> None:
    with dg.instance_for_test() as instance:
        below = after_an_outage(store, instance)
        overlay(store, "2026-01-19-23:00", below)
        assert tick(at(0, day=20), instance)[0] == [OUTAGE[1]], "the other began more than a week ago"


def test_a_long_outage_is_caught_up_tick_by_tick(store: ArtifactStore) -> None:
    release(store, "2026-01-05")
    with dg.instance_for_test() as instance:
        first, second = tick(at(5), instance)[0], tick(at(6), instance)[0]
    assert (first[0], len(first), second[0]) == ("2026-01-06-00:00", 48, "2026-01-08-00:00")


def test_an_hour_stands_on_the_newest_release_that_had_ended(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match="batch_daily"):
        release_under(store, Window.of_partition("2026-01-13-00:00"))
    first, second = release(store, "2026-01-11"), release(store, "2026-01-12")

    def under(hour: str) -> str:
        return release_under(store, Window.of_partition(hour)).manifest.recipe.partition

    assert [under(hour) for hour in ("2026-01-12-23:00", "2026-01-13-00:00", "2026-02-01-00:00")] == [
        "2026-01-11", "2026-01-12", "2026-01-12"
    ]  # fmt: skip
    old, new = overlay(store, "2026-01-13-02:00", first), overlay(store, "2026-01-13-03:00", second)
    assert newest_overlay(store, second) == new
    assert newest_overlay(store, first) == old, "a newer overlay of another release is passed over"
    rollback(store, why="test")
    assert under("2026-01-13-04:00") == "2026-01-11", "what was withdrawn carries no overlay"


def test_before_its_first_overlay_a_champion_has_none(store: ArtifactStore) -> None:
    first = release(store, "2026-01-11")
    overlay(store, "2026-01-12-02:00", first)
    second = release(store, "2026-01-12")
    assert newest_overlay(store, second) is None
    assert timedelta(hours=1) == Window.of_partition("2026-01-12-02:00").end - datetime(2026, 1, 12, 2, tzinfo=UTC)


def test_a_moved_pointer_asks_for_an_overlay_at_once_and_once(store: ArtifactStore) -> None:
    sensor = defs.resolve_sensor_def("overlay_after_promotion")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED

    def look(cursor: str | None) -> tuple[list[str | None], str | None]:
        told = sensor(dg.build_sensor_context(cursor=cursor, resources={"store": StoreResource()}))
        if isinstance(told, dg.SkipReason):
            return [], cursor
        assert isinstance(told, dg.SensorResult)
        return [request.run_key for request in told.run_requests or []], told.cursor

    assert look(None) == ([], None), "nothing is served"
    before, yesterday = (str(datetime.now(UTC).date() - timedelta(days=n)) for n in (2, 1))
    release(store, before)
    first, cursor = look(None)
    assert len(first) == 1
    assert look(cursor) == ([], cursor), "nothing has moved"
    release(store, yesterday)
    second, cursor = look(cursor)
    rollback(store, why="test")
    back, cursor = look(cursor)
    assert len({*first, *second, *back}) == 3, "each move is a run of its own"


def test_hours_far_after_the_champion_are_asked_for_by_nothing_and_refused_by_name(store: ArtifactStore) -> None:
    """An archive's last hour over a champion of years before would be an overlay of tens of thousands of hours."""
    release(store, "2020-01-05")
    sensor = defs.resolve_sensor_def("overlay_after_promotion")
    told = sensor(dg.build_sensor_context(resources={"store": StoreResource()}))
    assert isinstance(told, dg.SkipReason)
    assert "the champion is of 2020-01-05, and an overlay holds 168 hours after it" in str(told.skip_message)
    with dg.instance_for_test() as instance:
        asked, _ = tick(at(5), instance)
    assert asked == [], "the hours that there are lie years after it"
    with pytest.raises(SettingError, match=r"2026-01-13-04:00 is 52,\d+ hours after the release of 2020-01-05"):
        hours_since(store, Window.of_partition("2026-01-13-04:00"), 168)
    last = Window.of_partition("2020-01-12-23:00")
    assert hours_since(store, last, 168) == Window.of_partition("2020-01-05").end
    with pytest.raises(SettingError, match="RECSYS_OVERLAY_HOURS"):
        hours_since(store, Window.of_partition("2020-01-13-00:00"), 168)
