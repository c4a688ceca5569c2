"""The hourly job through `recsys run`: complete, reproducible, blind to the future, whole after a kill, served."""

import dataclasses
import random
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.serving.overlays import newest_overlay
from recsys_pipeline.adapters.serving.releases import champion, promote
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, Built
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import DOCUMENT, Release
from recsys_pipeline.core.serving.sealed import seal, unseal
from recsys_pipeline.core.speed.overlay import Overlay
from recsys_pipeline.core.time import Window, microseconds
from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment, failure, versions
from recsys_pipeline_tests.misbehaving_sources import Planting, event
from recsys_pipeline_tests.processes import die_before_touch, exit_code

HOUR, NEXT_HOUR = f"{NEXT_DAY}-05:00", f"{NEXT_DAY}-06:00"
SPEED = ("speed/interactions", "speed/overlay", "speed/monitor")


def copy_of(first_day: Deployment, home: Path) -> Deployment:
    """A deployment that goes on from the first day."""
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    return Deployment(home)


@pytest.fixture(scope="module")
def hourly(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """After the hour, its first since the release; nobody changes it."""
    deployment = copy_of(first_day, tmp_path_factory.mktemp("hourly") / "home")
    outcome = deployment.recsys("run", "speed_hourly", HOUR)
    assert outcome.code == 0, outcome.text
    return deployment


@pytest.fixture
def later(first_day: Deployment, tmp_path: Path) -> Deployment:
    return copy_of(first_day, tmp_path / "home")


def test_an_hour_makes_its_overlay_over_the_champion(hourly: Deployment) -> None:
    made = hourly.artifacts(HOUR)
    assert set(made) == set(SPEED)
    inputs = [(ref.key, ref.partition) for ref in made["speed/overlay"].manifest.recipe.inputs]
    assert inputs[0] == ("serving/release", DAY)
    assert inputs[1:] == [("speed/interactions", f"{NEXT_DAY}-{hour:02d}:00") for hour in range(6)]
    metrics = made["speed/overlay"].manifest.metrics
    assert metrics["missing_hours"] == []
    assert metrics["users"] > 5


def test_hours_hold_what_the_day_file_holds(hourly: Deployment) -> None:
    assert hourly.materialize("dataset/interactions", day=NEXT_DAY).success
    day = pq.read_table(hourly.artifacts(NEXT_DAY)["dataset/interactions"].path / "interactions.parquet")
    window = Window(datetime.fromisoformat(f"{NEXT_DAY}T00:00Z"), Window.of_partition(HOUR).end)
    hours = [hourly.store.get("speed/interactions", f"{NEXT_DAY}-{hour:02d}:00").path for hour in range(6)]
    files = pa.concat_tables(pq.read_table(path / "interactions.parquet") for path in hours)
    assert files.equals(day.slice(0, files.num_rows))
    assert microseconds(window.end) <= day.slice(files.num_rows)["timestamp"].cast(pa.int64())[0].as_py()


def test_an_hour_again_is_up_to_date_and_recomputed_the_same(hourly: Deployment) -> None:
    before = hourly.digests(HOUR)
    assert "0 made, 3 up to date" in hourly.recsys("run", "speed_hourly", HOUR).text
    again = hourly.recsys("run", "speed_hourly", HOUR, "--recompute")
    assert "3 made, 0 up to date" in again.text
    assert hourly.digests(HOUR) == before


def test_hours_backfilled_alone_end_as_hours_run_in_order(hourly: Deployment, later: Deployment) -> None:
    assert later.recsys("run", "speed_hourly", f"{NEXT_DAY}-03:00").code == 0
    assert later.recsys("run", "speed_hourly", f"{NEXT_DAY}-04:00..{HOUR}").code == 0
    assert later.digests(HOUR) == hourly.digests(HOUR)


END = Window.of_partition(HOUR).end


class Soothsayer(Planting):
    """Tells in every hour what happens at and after the end of the hour that is run."""

    extra = tuple(event(END + timedelta(minutes=delay), user_id="u000001") for delay in (0, 1, 60))


def test_events_of_the_future_reach_no_overlay(hourly: Deployment, later: Deployment) -> None:
    told = dataclasses.replace(later, wrap=Soothsayer)
    outcome = told.recsys("run", "speed_hourly", HOUR, "--set", "speed/interactions.max_quarantine_share=1.0")
    assert outcome.code == 0, outcome.text
    quarantine = pq.read_table(told.artifacts(HOUR)["speed/interactions"].path / "quarantine.parquet").to_pylist()
    assert len(quarantine) == 3
    assert all("is in the future" in row["reason"] for row in quarantine)
    assert told.digests(HOUR) == hourly.digests(HOUR)


def run_until(home: Path, last_touch: int, count_file: Path | None = None) -> None:
    """Run the hour, and die by SIGKILL just before the store is touched that many times."""
    touches = die_before_touch(last_touch, home / "data" / "store")
    assert Deployment(home).materialize(*SPEED, day=HOUR).success
    if count_file is not None:
        count_file.write_text(str(touches()))


def test_a_killed_hour_leaves_whole_artifacts_only(hourly: Deployment, first_day: Deployment, tmp_path: Path) -> None:
    undisturbed = copy_of(first_day, tmp_path / "undisturbed")
    assert exit_code(run_until, undisturbed.home, 0, tmp_path / "count") == 0
    touches = int((tmp_path / "count").read_text())
    for moment in range(2):  # once while hours are taken in, once while the overlay is made
        deployment = copy_of(first_day, tmp_path / str(moment))
        last_touch = random.Random(moment).randrange(touches * moment // 2 + 1, touches * (moment + 1) // 2)
        assert exit_code(run_until, deployment.home, last_touch) == -signal.SIGKILL
        root = Path(deployment.store.root)
        for artifact in versions(root):
            artifact.verify()
        for pointer in root.rglob(POINTER_NAME):
            assert (pointer.parent / pointer.read_text() / MANIFEST_NAME).is_file(), f"{pointer} points nowhere"
        assert deployment.recsys("run", "speed_hourly", HOUR).code == 0
        assert deployment.digests(HOUR) == hourly.digests(HOUR)


def test_serving_reads_the_newest_overlay_of_the_champion_and_a_new_champion_leaves_no_gap(later: Deployment) -> None:
    """A release of the next day is promoted in the morning: its first overlay holds everything since its end."""
    evening, morning = f"{NEXT_DAY}-22:00", "2026-01-14-04:00"
    assert later.recsys("run", "speed_hourly", evening).code == 0
    assert later.recsys("run", "speed_hourly", "2026-01-14-02:00").code == 0
    _release_next_day(later)
    store = later.store
    new = champion(store)
    assert new is not None
    assert newest_overlay(store, new) is None, "overlays of the old champion are irrelevant"
    assert later.recsys("run", "speed_hourly", morning).code == 0
    made = newest_overlay(store, new)
    assert made is not None
    hours = [ref.partition for ref in made.manifest.recipe.inputs if ref.key == "speed/interactions"]
    assert hours == [f"2026-01-14-{hour:02d}:00" for hour in range(5)], "hours before the promotion included"

    release, overlay = Release.load(new.path), Overlay.load(made.path)
    user = overlay.user_ids[0]
    before, after = (recommend(release, over, [user, "nobody"], 10) for over in (None, overlay))
    assert (before.why, after.why) == (["release", "popular"], ["overlay", "popular"]) or before.why[0] == "popular"
    assert not overlay.seen([user] * 10, after.of(0)).any()
    assert not set(after.of(0)) & overlay.unavailable


def test_a_promotion_in_the_middle_of_an_hourly_run_fails_nothing(later: Deployment) -> None:
    """An hourly run goes on beside a batch, and a retry starts at the step that failed: the overlay stays as it is."""
    hour = "2026-01-14-00:00"
    assert later.materialize("speed/interactions", "speed/overlay", day=hour).success
    _release_next_day(later)
    found = later.materialize("speed/monitor", day=hour)
    assert found.success, failure(found)
    below = [ref.partition for ref in later.artifacts(hour)["speed/monitor"].manifest.recipe.inputs]
    assert below[-1] == DAY, "compared with the release that the overlay stands on"


def _release_next_day(deployment: Deployment) -> None:
    """Promote a release of the next day with the first day's content: what is in it is not the question."""
    store = deployment.store
    first = store.get("serving/release", DAY)
    end = Window.of_partition(NEXT_DAY).end

    def build(directory: Path) -> Built:
        shutil.copytree(first.path, directory, dirs_exist_ok=True)
        (directory / MANIFEST_NAME).unlink()
        document = unseal(directory, DOCUMENT)
        seal(directory, DOCUMENT, {**document, "day": NEXT_DAY, "end_us": microseconds(end.astimezone(UTC))})
        return Built(first.manifest.metrics)

    store.build(dataclasses.replace(first.manifest.recipe, partition=NEXT_DAY), build)
    promote(store, NEXT_DAY, why="a test of the switch", force=True)
