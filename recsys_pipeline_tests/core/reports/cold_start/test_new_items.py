"""New items: what is tested, what may be known, what is compared, and what the page says where there are none."""

import dataclasses
import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures
from recsys_pipeline.core.models.als import AlsConfig, AlsModel
from recsys_pipeline.core.models.als import fit as fit_als
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.day_by_day import KnownUntil
from recsys_pipeline.core.reports.cold_start.examples import new_item_examples
from recsys_pipeline.core.reports.cold_start.new_items import AMONG_NEW, FULL, NewItemsDay, judge, new_items_day
from recsys_pipeline.core.reports.cold_start.report import (
    MODELS,
    SCOPES,
    NewItemsConfig,
    NewItemsReport,
    report_new_items,
)
from recsys_pipeline.core.reports.cold_start.section import new_items_section
from recsys_pipeline.core.reports.page.page import Text
from recsys_pipeline.core.time import Window, microseconds

FIRST, LAST, DAY_US = date(2026, 1, 1), date(2026, 1, 6), 86_400_000_000
N_USERS, N_ITEMS = 60, 72
MAPPING = ColdStartConfig(hidden_size=8, epochs=20, batch_size=64, n_folds=2)
CONFIG = NewItemsConfig(n_resamples=50)
STYLES = 3
pytestmark = pytest.mark.filterwarnings("ignore:new items of")


def features() -> ItemFeatures:
    """A photo tells the style of an item, and some noise; item 70 has no photo, nobody ever sees the last two."""
    visual = np.random.default_rng(5).normal(0, 0.3, (N_ITEMS, 4)).astype(np.float32)
    visual[np.arange(N_ITEMS), np.arange(N_ITEMS) % STYLES] += 2
    visual[70] = np.nan
    return ItemFeatures(visual, (np.arange(N_ITEMS) % 2 == np.arange(2)[:, None]).T, ("odd", "even"))


def events(seed: int = 0) -> Ratings:
    """Everybody likes one style. Items 0–59 are there from the start, two more arrive each day."""
    rng = np.random.default_rng(seed)
    rows = {}
    for day in range((LAST - FIRST).days + 1):
        for user in range(N_USERS):
            on_sale = np.arange(60 + 2 * day)
            liked = on_sale[on_sale % STYLES == user % STYLES]
            for item in {*rng.choice(liked, 3), *rng.choice(liked[-3:], 1)}:
                rows.setdefault((user, int(item)), day * DAY_US + int(rng.integers(DAY_US)))
    user, item = np.array(list(rows), np.int32).T
    moment = np.array(list(rows.values())) + microseconds(Window.of_day(FIRST).start)
    return Ratings(user, item, np.ones(len(user), np.float32), moment, N_USERS, N_ITEMS - 2)


def known_in(ratings: Ratings) -> KnownUntil:
    return lambda window: ratings.take(ratings.timestamp_us < microseconds(window.start))


def als(train: Ratings) -> AlsModel:
    return fit_als(train, AlsConfig(embedding_size=4, epochs=4), 0)


def report(ratings: Ratings, day: date = LAST, earlier: NewItemsReport | None = None) -> NewItemsReport:
    return report_new_items(known_in(ratings), day, features(), als, MAPPING, CONFIG, 0, earlier)


@pytest.fixture(scope="module")
def made() -> NewItemsReport:
    return report(events())


def figure(made: NewItemsReport, model: str, metric: str, k: int, placement: str = AMONG_NEW) -> float:
    [row] = [
        r
        for r in made.figures
        if (r.scope, r.placement, r.model, r.metric, r.k) == ("day", placement, model, metric, k)
    ]
    return row.value


def test_only_known_users_and_items_without_interactions_are_tested() -> None:
    start = microseconds(Window.of_day(FIRST).start)
    user, item, day = zip((0, 0, 0), (0, 1, 1), (0, 0, 1), (1, 1, 1), (1, 3, 2), strict=True)
    moment = np.array(day) * DAY_US + start
    ratings = Ratings(np.array(user, np.int32), np.array(item, np.int32), np.ones(5, np.float32), moment, 2, 4)
    tested = new_items_day(known_in(ratings), FIRST + timedelta(days=1), n_items=5)
    assert tested.is_new.tolist() == [False, True, True, True, True]
    assert list(zip(tested.test.user, tested.test.item, strict=True)) == [(0, 1)], "user 1 has no history that day"
    assert (tested.train.n_items, tested.known.n_items, len(tested.known)) == (5, 4, 1)
    with pytest.raises(DataError, match="3 items, a snapshot of 4"):
        new_items_day(known_in(ratings), FIRST, n_items=3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), day=st.integers(0, 6))
def test_no_tested_item_was_known_and_no_known_row_is_of_the_day(seed: int, day: int) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 6, 30).astype(np.int32), rng.integers(0, 9, 30).astype(np.int32), np.ones(30, np.float32)
    ratings = Ratings(*columns, rng.integers(0, 6 * DAY_US, 30) + microseconds(Window.of_day(FIRST).start), 6, 9)
    today = FIRST + timedelta(days=day)
    tested = new_items_day(known_in(ratings), today, 9)
    window = Window.of_day(today)
    assert not set(tested.test.item) & set(tested.known.item)
    assert set(tested.test.user) <= set(tested.known.user)
    assert (tested.known.timestamp_us < microseconds(window.start)).all()
    inside = (tested.test.timestamp_us >= microseconds(window.start)) & (
        tested.test.timestamp_us < microseconds(window.end)
    )
    assert inside.all()


def test_photos_tell_new_items_apart_and_popularity_cannot(made: NewItemsReport) -> None:
    facts = made.today
    assert (facts.new_items, facts.with_image, facts.reason) == (4, 3, ""), "two arrived, two nobody has seen"
    # Of the two that nobody sees, one looks just as one that is chosen: a guess between them is the best there is.
    assert figure(made, "ridge", "auc", 0) > 0.75
    assert figure(made, "ridge", "auc", 0) > figure(made, "category_mean", "auc", 0) + 0.1
    assert 0.2 < figure(made, "popularity", "auc", 0) < 0.8
    assert figure(made, "popularity", "recall", 10, FULL) == 0
    assert figure(made, "ridge", "auc", 0, FULL) > figure(made, "popularity", "auc", 0, FULL)
    assert {row.model for row in made.figures} == set(MODELS)


def test_events_of_the_day_and_after_it_teach_nothing() -> None:
    """Days later, everybody turns to the last new item, and it is told of: the figures of the day stay."""
    ratings, day = events(), LAST - timedelta(days=1)
    late = microseconds(Window.of_day(LAST).start)
    n = N_USERS
    planted = Ratings(
        np.r_[ratings.user, np.arange(n, dtype=np.int32)],
        np.r_[ratings.item, np.full(n, 69, np.int32)],
        np.r_[ratings.value, np.full(n, 9, np.float32)],
        np.r_[ratings.timestamp_us, late + np.arange(n)],
        N_USERS,
        N_ITEMS - 2,
    )
    honest, told = report(ratings, day), report(planted, day)
    assert told.figures == honest.figures
    assert (told.facts, told.errors) == (honest.facts, honest.errors)
    shuffled = dataclasses.replace(ratings, user=np.where(ratings.timestamp_us >= late - DAY_US, 0, ratings.user))
    assert report(shuffled, day).errors == honest.errors, "mappers and their choice know nothing of the day itself"


def test_a_day_without_new_items_has_no_figure_and_says_why() -> None:
    ratings = events()
    before = ratings.take(ratings.timestamp_us < microseconds(Window.of_day(LAST).start))
    with pytest.warns(UserWarning, match="no known user chose any of the new items"):
        quiet = report(before)
    assert all(math.isnan(row.value) and row.n == 0 for row in quiet.figures if row.scope == "day")
    assert len(quiet.figures) == 2 * len(MODELS) * (3 + 4)
    section = new_items_section(quiet)
    assert "cannot be judged: no known user chose any of the new items on the day" in section.headline
    first = report(ratings, FIRST)
    assert "nothing was known before the day" in new_items_section(first).headline


def test_the_days_before_are_judged_together_with_the_day(made: NewItemsReport, tmp_path: Path) -> None:
    before = report(events(), LAST - timedelta(days=1))
    before.save(tmp_path)
    both = report(events(), LAST, NewItemsReport.load(tmp_path))
    assert [row.day for row in both.facts] == ["2026-01-05", "2026-01-06"]
    assert [r for r in both.figures if r.scope == "day"] == [r for r in made.figures if r.scope == "day"]
    told = new_items_section(both).blocks[1]
    assert isinstance(told, Text)
    assert f"The report before it adds {before.today.pairs} choices." in told.text
    users = {scope: max(r.n for r in both.figures if r.scope == scope) for scope in SCOPES}
    assert users["recent days"] > users["day"]
    again = report(events(), LAST, both)
    assert again.facts == both.facts, "a day that is made again takes its own place"
    single = dataclasses.replace(CONFIG, recent_days=1)
    alone = report_new_items(known_in(events()), LAST, features(), als, MAPPING, single, 0, before)
    assert [row.day for row in alone.facts] == ["2026-01-06"]


def test_a_user_counts_once_however_many_days_they_chose_on() -> None:
    before = report(events(), LAST - timedelta(days=1))
    both = report(events(), LAST, before)
    rows = both.values[(both.values["model"] == "ridge") & (both.values["placement"] == AMONG_NEW)]
    [pooled] = [
        r
        for r in both.figures
        if (r.scope, r.placement, r.model, r.metric) == ("recent days", AMONG_NEW, "ridge", "auc")
    ]
    assert pooled.value == pytest.approx(rows.groupby("user")["auc@0"].mean().mean())
    assert pooled.n == rows["user"].nunique()


def test_the_lead_is_that_of_the_mapper_chosen_before_the_day(made: NewItemsReport) -> None:
    assert made.today.mapper in ("ridge", "network")
    assert {row.difference.model for row in made.differences} == {made.today.mapper}
    lead = next(
        r.difference for r in made.differences if r.placement == AMONG_NEW and r.difference.baseline == "category_mean"
    )
    assert lead.value == pytest.approx(
        figure(made, made.today.mapper, "auc", 0) - figure(made, "category_mean", "auc", 0)
    )


def test_the_report_comes_back_and_makes_a_section(made: NewItemsReport, tmp_path: Path) -> None:
    made.save(tmp_path)
    loaded = NewItemsReport.load(tmp_path)
    assert (loaded.facts, loaded.figures, loaded.differences, loaded.errors) == (
        made.facts, made.figures, made.differences, made.errors,
    )  # fmt: skip
    section = new_items_section(loaded)
    assert "mapper have an AUC of" in section.headline
    assert [block.kind for block in section.blocks][2] == "plots"


def test_the_same_inputs_give_the_same_report(made: NewItemsReport) -> None:
    again = report(events())
    assert again.figures == made.figures
    assert again.values.equals(made.values)


def test_a_scorer_that_tells_no_new_item_apart_is_at_chance_whatever_the_items_are_called() -> None:
    class Flat:
        predicts_values = False

        def scores(self, users: np.ndarray) -> np.ndarray:
            return np.ones((len(users), 12), np.float32)

    no_ids = np.empty(0, np.int32)
    none = Ratings(no_ids, no_ids, np.empty(0, np.float32), np.empty(0, np.int64), 4, 12)
    user, item = np.arange(4, dtype=np.int32), np.array([2, 2, 2, 5], np.int32)
    test = Ratings(user, item, np.ones(4, np.float32), np.zeros(4, np.int64), 4, 12)
    day = NewItemsDay(none, test, np.arange(12) >= 2)
    _, among = next(iter(judge({"flat": Flat()}, day, (5,))))
    assert among.mean("recall", 5) == pytest.approx(5 / 10)
    assert among.mean("auc", 0) == 0.5


def test_new_items_lie_next_to_known_ones_like_them() -> None:
    learned = VectorTable(["a", "b", "c", "new"], np.array([[9, 1], [9, 3], [9, -4], [0, 0]], np.float32))
    new = VectorTable(["new", "unseen"], np.array([[9, 2.5], [9, -3]], np.float32))
    first, second = new_item_examples(new, learned, {"a": "Lamp", "unseen": "Rug"}, None)
    assert (first.user, second.user) == ("new", "Rug")
    assert {card.title for card in first.recommended[:2]} == {"Lamp", "b"}
    assert second.recommended[0].title == "c"
    assert "new" not in {card.title for card in first.recommended}
    assert new_item_examples(VectorTable([], np.empty((0, 2), np.float32)), learned, {}, None) == ()
