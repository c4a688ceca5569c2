"""Test, then train: nothing from the future, the same curve however it is continued, and what age costs."""

import dataclasses
from datetime import date, timedelta

import numpy as np
import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.day_by_day import (
    DayByDayConfig,
    Fit,
    KnownUntil,
    continue_curve,
    predict_day,
)
from recsys_pipeline.core.reports.accuracy.day_by_day_section import day_by_day_section
from recsys_pipeline.core.time import Window, microseconds

FIRST, N_DAYS, N_USERS, N_ITEMS = date(2026, 1, 1), 8, 30, 24
DAY_US = 86_400_000_000
LAST = FIRST + timedelta(days=N_DAYS - 1)
CONFIG = DayByDayConfig(ages_days=(0, 3), first_days=3, n_resamples=50)


def events(seed: int = 0) -> Ratings:
    """Each day another third of the catalogue is in fashion, for as long as two days."""
    rng = np.random.default_rng(seed)
    user, day = rng.integers(0, N_USERS, 900), rng.integers(0, N_DAYS, 900)
    item = (rng.integers(0, 8, 900) + 8 * (day // 2)) % N_ITEMS
    moment = microseconds(Window.of_day(FIRST).start) + day * DAY_US + rng.integers(0, DAY_US, 900)
    _, first = np.unique(user * N_ITEMS + item, return_index=True)
    columns = user.astype(np.int32), item.astype(np.int32), np.ones(900, np.float32), moment.astype(np.int64)
    return Ratings(*columns, N_USERS, N_ITEMS).take(first)


def known_in(ratings: Ratings) -> KnownUntil:
    return lambda window: ratings.take(ratings.timestamp_us < microseconds(window.start))


def popularity(seen: list[Ratings] | None = None) -> dict[str, Fit]:
    spec = discover()["popularity"]

    def fit(train: Ratings) -> Recommender:
        if seen is not None:
            seen.append(train)
        return spec.fit(train, spec.config(), 0)

    return {"popularity": fit}


def test_models_learn_what_came_before_the_day_less_their_age() -> None:
    trained: list[Ratings] = []
    figures = list(predict_day(LAST, known_in(events()), popularity(trained), CONFIG, 0, CONFIG.ages_days))
    assert [(row.age_days, row.is_folded_in) for row in figures] == [(0, False), (3, False), (3, True)]
    for train, age in zip(trained, CONFIG.ages_days, strict=True):
        cut = microseconds(Window.of_day(LAST - timedelta(days=age)).start)
        expected = events()
        assert len(train) == (expected.timestamp_us < cut).sum()
        assert train.timestamp_us.max() < cut


def test_an_event_planted_in_the_future_changes_nothing() -> None:
    ratings, late = events(), microseconds(Window.of_day(LAST).start)
    day = LAST - timedelta(days=1)
    planted = dataclasses.replace(ratings, value=np.where(ratings.timestamp_us >= late, 99, 1).astype(np.float32))
    gone = ratings.take(ratings.timestamp_us < late)
    expected = list(predict_day(day, known_in(ratings), popularity(), CONFIG, 0, (0, 3)))
    for other in (planted, gone):
        assert list(predict_day(day, known_in(other), popularity(), CONFIG, 0, (0, 3))) == expected


def test_only_new_choices_of_known_users_are_tested() -> None:
    start = microseconds(Window.of_day(FIRST).start)
    user, item, day = zip((0, 0, 0), (1, 1, 0), (0, 0, 1), (0, 2, 1), (2, 1, 1), strict=True)  # user 2 is new on day 1
    columns = np.array(user, np.int32), np.array(item, np.int32), np.ones(5, np.float32)
    ratings = Ratings(*columns, np.array(day) * DAY_US + start, 3, 3)
    [row] = predict_day(FIRST + timedelta(days=1), known_in(ratings), popularity(), CONFIG, 0, (0,))
    assert row.n == 1
    assert row.value == pytest.approx(1 / np.log2(3))  # item 2 is second among items 1 and 2, which user 0 has not seen


def test_a_curve_continued_day_by_day_is_the_curve_made_at_once() -> None:
    known, whole = known_in(events()), dataclasses.replace(CONFIG, first_days=5)
    at_once = continue_curve([], LAST, FIRST, known, popularity(), whole, 0)
    grown = continue_curve([], LAST - timedelta(days=2), FIRST, known, popularity(), CONFIG, 0)
    for days in (1, 0):
        grown = continue_curve(grown, LAST - timedelta(days=days), FIRST, known, popularity(), CONFIG, 0)
    assert [row for row in grown if row.age_days == 0] == [row for row in at_once if row.age_days == 0]
    skipped = continue_curve(grown[:1], LAST, FIRST, known, popularity(), CONFIG, 0)
    assert {row.day for row in skipped} == {row.day for row in at_once}, "days between are made up for"


def test_a_day_made_again_takes_its_own_place_and_old_days_leave() -> None:
    known, config = known_in(events()), dataclasses.replace(CONFIG, curve_days=2)
    first = continue_curve([], LAST, FIRST, known, popularity(), CONFIG, 0)
    again = continue_curve(first, LAST, FIRST, known, popularity(), config, 0)
    assert sorted({row.day for row in again}) == ["2026-01-07", "2026-01-08"]
    assert len([row for row in again if row.day == "2026-01-08"]) == 3


def test_the_first_day_of_the_data_cannot_be_predicted() -> None:
    assert continue_curve([], FIRST, FIRST, known_in(events()), popularity(), CONFIG, 0) == []
    section = day_by_day_section([])
    assert "cannot be predicted" in section.headline


def test_fashion_makes_old_models_worse_and_the_page_says_so() -> None:
    figures = continue_curve([], LAST, FIRST, known_in(events()), popularity(), CONFIG, 0)
    section = day_by_day_section(figures)
    assert "popularity reaches NDCG@10" in section.headline
    assert "A model 3 days old gives" in section.headline
    assert len(section.blocks) == 3


@pytest.mark.parametrize("ages", [(), (1, 7), (0, 0), (0, -1)])
def test_bad_ages_are_refused(ages: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="ages_days"):
        DayByDayConfig(ages_days=ages)
