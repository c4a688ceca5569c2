"""One user's spike: others' lists stay as they were, and the hour's check says who it was."""

from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.reports.monitoring.priors import Profile, ProfileConfig
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.monitor import COMPARED, HourLimits, hour_profile, hour_report, largest_user
from recsys_pipeline_tests.core.speed.events import event, overlay, table
from recsys_pipeline_tests.release_fixtures import ITEM_IDS, USER_IDS, tiny_release

BOT = USER_IDS[5]
ORDINARY = [event(user, item, 3) for user, item in zip(USER_IDS[10:20], ITEM_IDS[:10], strict=True)]


def spike(user: str, n: int = 10_000, items: int = 1) -> list[dict]:
    """A user who clicks the same few items all hour."""
    return [event(user, ITEM_IDS[number % items], 60 * number / n) for number in range(n)]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize("user", [BOT, "a stranger"])
def test_a_spike_leaves_the_lists_of_others_as_they_were(user: str, release: Release, tmp_path: Path) -> None:
    before = overlay(tmp_path / "before", release, ORDINARY)
    after = overlay(tmp_path / "after", release, [*ORDINARY, *spike(user, items=3)])
    others = [name for name in USER_IDS if name != user]
    lists = [recommend(release, found, others, 10) for found in (before, after)]
    assert (lists[0].item_ids == lists[1].item_ids).all()
    np.testing.assert_array_equal(lists[0].scores, lists[1].scores)


def test_ten_thousand_clicks_weigh_as_much_as_one(release: Release, tmp_path: Path) -> None:
    """The bot's last click is as late as the single one, so that both have decayed alike."""
    clicks = spike(BOT)
    one, many = overlay(tmp_path / "one", release, clicks[-1:]), overlay(tmp_path / "many", release, clicks)
    assert one.popularity == many.popularity
    assert one.trending == many.trending
    assert one.taken_filter.words.tobytes() == many.taken_filter.words.tobytes()
    np.testing.assert_array_equal(one.user_vectors, many.user_vectors)
    strangers = [recommend(release, found, ["nobody"], 10).of(0) for found in (one, many)]
    assert strangers[0] == strangers[1]


def test_the_hour_says_who_makes_too_much_of_it() -> None:
    limits = HourLimits(min_interactions=10)
    found = largest_user(table([*ORDINARY, *spike(BOT, 100)]), limits, WEB_LOG)
    assert (found.user_id, found.interactions, found.too_large) == (BOT, 100, True)
    assert found.share == pytest.approx(100 / 110)
    assert not largest_user(table(ORDINARY), limits, WEB_LOG).too_large
    assert not largest_user(table(spike(BOT, 9)), limits, WEB_LOG).too_large, "too few to judge by"
    nobody = largest_user(table([event("a", "b", 1, "view")]), limits, WEB_LOG)
    assert (nobody.user_id, nobody.too_large) == ("", False)
    assert np.isnan(nobody.share)


def hour_of_many(value: float, name: str = "click") -> list[dict]:
    return [event(f"reader {number}", ITEM_IDS[number % 9], 3, name, value) for number in range(400)]


def profile(events: list[dict], release: Release, folder: Path) -> Profile:
    return hour_profile(table(events), release, overlay(folder, release, events), ProfileConfig(), seed=0)


def test_an_hour_is_compared_with_priors_in_what_does_not_depend_on_its_length(
    release: Release, tmp_path: Path
) -> None:
    priors = profile(hour_of_many(3.0), release, tmp_path / "priors")
    assert set(priors.distributions) == set(COMPARED)
    same = hour_report(priors, profile(hour_of_many(3.0), release, tmp_path / "same"), HourLimits(), "the same")
    assert same.breaches == []
    other = hour_report(priors, profile(hour_of_many(3.0, "rating"), release, tmp_path / "other"), HourLimits(), "x")
    assert [row.feature for row in other.breaches] == ["event"]


def test_an_hour_of_few_users_is_not_judged(release: Release, tmp_path: Path) -> None:
    priors = profile(hour_of_many(3.0), release, tmp_path / "priors")
    report = hour_report(priors, profile(ORDINARY, release, tmp_path / "few"), HourLimits(), "x")
    assert (report.rows, set(report.absent)) == ([], set(COMPARED))
    assert report.absent["event"] == "too few users in the hour"
