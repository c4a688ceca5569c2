"""The soak's own parts: a plan that is the same for a seed, and weather that delays rows and loses none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.soak.plan import HOUR, plan_faults
from recsys_pipeline_tests.soak.weather import LATE_BY, Sky, Weather

START = datetime(2026, 1, 8, tzinfo=UTC)
HOURLY = ("kill_speed", "disk_full", "corrupt", "twice", "clock_jump", "outage", "stopped")


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_a_plan_and_no_hour_is_struck_twice(seed: int) -> None:
    plan = plan_faults(START, 14, seed)
    assert plan == plan_faults(START, 14, seed)
    struck = [hour for name in HOURLY for hour in getattr(plan, name)]
    assert len(struck) == len(set(struck))
    assert min(struck) >= START + 24 * HOUR, "the first day is left in peace"
    assert plan.counts() == {
        "kill_speed": 10, "kill_batch": 3, "disk_full": 3, "corrupt": 3, "twice": 3, "clock_jump": 2, "outage": 6,
        "stopped": 24, "bot_day": 1,
    }  # fmt: skip


@pytest.fixture
def sky(tmp_path: Path) -> Sky:
    return Sky(tmp_path / "sky.json")


def rows(source: Weather, window: Window) -> int:
    return sum(batch.num_rows for batch in source.interactions(window))


def test_late_rows_come_in_time_and_the_fingerprint_tells(sky: Sky) -> None:
    shop, window = Simulator(SIZES["tiny"]), Window.of_hour(datetime(2026, 1, 5, 19, tzinfo=UTC))
    source, everything = Weather(shop, sky), sum(batch.num_rows for batch in shop.interactions(window))
    sky.set(now=(window.end + timedelta(minutes=5)).isoformat())
    early, before = rows(source, window), source.fingerprint(window)
    sky.set(now=(window.end + LATE_BY).isoformat())
    assert early < everything == rows(source, window)
    assert source.fingerprint(window) != before
    settled = source.fingerprint(window)
    sky.set(now=(window.end + 48 * HOUR).isoformat())
    assert source.fingerprint(window) == settled, "nothing comes any more"


def test_an_outage_and_a_bot(sky: Sky) -> None:
    source, window = Weather(Simulator(SIZES["tiny"]), sky), Window.of_day(datetime(2026, 1, 5, tzinfo=UTC).date())
    fair = rows(source, window)
    sky.set(bot_day="2026-01-05")
    assert rows(source, window) == fair + 3_000
    sky.set(down=True)
    with pytest.raises(SourceError, match="does not answer"):
        source.interactions(window)
