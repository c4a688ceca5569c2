"""The list report end to end: facts from an evaluation, figures with their n, files, sections, plots, bad input."""

import dataclasses
import math
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.lists import list_plots
from recsys_pipeline.core.reports.lists.beyond_accuracy import LIST_METRICS
from recsys_pipeline.core.reports.lists.exposure import EXPOSURE_METRICS
from recsys_pipeline.core.reports.lists.list_facts import (
    category_mix,
    first_seen,
    history_mix,
    hits_of,
    list_facts,
    read_category_mix,
)
from recsys_pipeline.core.reports.lists.list_report import EarlierLists, ListReport, churn_estimates, describe_lists
from recsys_pipeline.core.reports.lists.list_sections import list_sections
from recsys_pipeline.core.reports.lists.slices_section import slices_section
from recsys_pipeline.core.reports.lists.variety_section import VARIETY, variety_section
from recsys_pipeline.core.reports.page.page import render_page
from recsys_pipeline.core.reports.page.plots import to_svg
from recsys_pipeline_tests.core.reports.page.test_page import outline, report

N_USERS, N_ITEMS = 90, 60


def rows(user: np.ndarray, item: np.ndarray) -> Ratings:
    times = np.arange(len(user), dtype=np.int64) * 3_600_000_000
    return Ratings(
        user.astype(np.int32), item.astype(np.int32), np.ones(len(user), np.float32), times, N_USERS, N_ITEMS
    )


@pytest.fixture(scope="module")
def folds() -> tuple[Ratings, Ratings]:
    """Popular items are chosen more often, and users like one half of the catalogue; the last row is tested."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(N_USERS):
        weights = 1 / np.arange(1, N_ITEMS + 1) * np.where(np.arange(N_ITEMS) % 2 == user % 2, 5.0, 1.0)
        own = rng.choice(N_ITEMS, 2 + user % 10, replace=False, p=weights / weights.sum())
        train += [(user, item) for item in own[:-1]]
        test.append((user, own[-1]))
    return rows(*np.array(train).T), rows(*np.array(test).T)


@pytest.fixture(scope="module")
def results(folds: tuple[Ratings, Ratings]) -> list[RankingResult]:
    train, test = folds
    fitted = {name: discover()[name] for name in ("popularity", "cooccurrence")}
    return [
        evaluate_ranking(spec.fit(train, spec.config(), seed=0), train, test, (10, 20), name=name)
        for name, spec in fitted.items()
    ]


MIX = category_mix([["even", "odd"][item % 2 : item % 2 + 1] for item in range(N_ITEMS)])


@pytest.fixture(scope="module")
def described(folds: tuple[Ratings, Ratings], results: list[RankingResult]) -> ListReport:
    with pytest.warns(UserWarning, match="slice 'new' of items rests on no users"):
        return describe_lists(results, folds[0], seed=0, item_mix=MIX, n_resamples=50)


def test_every_registered_figure_is_there_with_its_n(described: ListReport) -> None:
    found = {(row.model, row.metric, row.k): row for row in described.variety}
    for name in (*LIST_METRICS, *EXPOSURE_METRICS):
        for k in (10, 20):
            assert found["cooccurrence", name, k].n == N_USERS, name
    assert set(LIST_METRICS) | set(EXPOSURE_METRICS) <= set(VARIETY), "the page must say what every figure means"
    assert found["popularity", "serendipity", 10].value == 0
    assert found["cooccurrence", "popularity_agreement", 10].value < 1
    assert ("popularity", "popularity_agreement", 10) not in found
    assert found["popularity", "matthew_effect", 10].value > 0


def test_slices_of_items_add_up_to_all_relevant_rows(described: ListReport, results: list[RankingResult]) -> None:
    for result in results:
        own = [row for row in described.slices if (row.model, row.unit, row.k) == (result.model, "items", 20)]
        parts = {row.slice: row for row in own}
        whole = [parts[name] for name in ("head", "torso", "tail")]
        assert sum(row.n_rows for row in whole) == len(result.rows.item)
        # One relevant row per user, so recall over rows is the mean recall over users.
        assert sum(row.value * row.n_rows for row in whole) / N_USERS == pytest.approx(result.mean("recall", 20))
    users = {row.slice: row.n_users for row in described.slices if (row.unit, row.metric) == ("users", "ndcg")}
    assert users["cold"] + users["warm"] == N_USERS
    assert users["cold"] == 45  # 1 + user % 10 train rows, at most 5


def test_hits_and_categories_are_gathered_from_their_tables(
    folds: tuple[Ratings, Ratings], results: list[RankingResult], tmp_path
) -> None:
    train, test = folds
    result = results[1]
    hits = hits_of(result)
    for row, user in enumerate(result.users):
        expected = np.isin(result.top[row], test.item[test.user == user])
        np.testing.assert_array_equal(hits[row], expected)
    mix = history_mix(train, np.array([4, 0]), MIX)
    own = train.item[train.user == 4]
    np.testing.assert_allclose(mix[0], [(own % 2 == 0).mean(), (own % 2 == 1).mean()])
    assert first_seen(train)[own[0]] == train.timestamp_us[train.item == own[0]].min()
    table = pa.table({"item_id": ["b", "a", "c"], "categories": [["x", "y"], ["y"], []]})
    pq.write_table(table, tmp_path / "items.parquet")
    found = read_category_mix(tmp_path / "items.parquet", ["a", "b", "c", "unknown"])
    np.testing.assert_array_equal(found, [[0, 1], [0.5, 0.5], [0, 0], [0, 0]])
    assert read_category_mix(tmp_path / "items.parquet", ["c"]) is None


def test_report_reloads_as_it_was(described: ListReport, tmp_path) -> None:
    described.save(tmp_path)
    loaded = ListReport.load(tmp_path)
    assert repr(loaded.variety) == repr(described.variety)
    assert repr(loaded.slices) == repr(described.slices)
    assert loaded.reliability == described.reliability
    assert repr(loaded.calibration) == repr(described.calibration)
    np.testing.assert_array_equal(loaded.matthew[""], described.matthew[""])


def test_churn_matches_users_and_items_by_id(results: list[RankingResult]) -> None:
    result = results[1]
    user_ids, item_ids = [f"u{user}" for user in range(N_USERS)], [f"i{item}" for item in range(N_ITEMS)]
    # Yesterday: the same lists under other numbers, for half of the users, and another item on top for user 0.
    lists = {int(user): result.recommended(int(user))[:10].tolist() for user in result.users if user < 45}
    lists[0][0] = next(item for item in range(N_ITEMS) if item not in lists[0])
    flipped = pd.DataFrame(
        [{"model": "cooccurrence", "user": 44 - user, "items": [N_ITEMS - 1 - i for i in own]}
         for user, own in lists.items()]
    )  # fmt: skip
    earlier = EarlierLists(user_ids[:45][::-1], item_ids[::-1], flipped)
    found = {row.metric: row for row in churn_estimates(results, user_ids, item_ids, earlier, 0, 20)}
    assert found["churn"].n == found["rank_churn"].n == 45
    assert found["churn"].value == pytest.approx((1 - 9 / 11) / 45)
    assert {row.model for row in churn_estimates(results, user_ids, item_ids, earlier, 0, 20)} == {"cooccurrence"}


def test_sections_make_a_page_with_words_for_every_plot(described: ListReport) -> None:
    sections = list_sections(described, "cooccurrence")
    page = render_page(report(*sections))
    parsed = outline(page)
    assert parsed.images_without_alt == 0
    assert page.count('role="img"') == parsed.tags.count("svg") == 4
    assert [section.anchor for section in sections] == ["slices", "variety", "calibration"]
    slices, variety, calibration = (section.headline for section in sections)
    assert "Of 100 rare items that users went on to choose, cooccurrence shows" in slices
    assert "Users with short histories (45) are served" in slices
    assert "no users" in page  # no new item was chosen
    assert "of the catalogue to 90 users" in variety
    assert "percentage points on average" in calibration
    assert "nan" not in page.split("<style>")[0] + page.split("</style>")[1]


def test_empty_slices_say_no_users_and_few_hits_say_so(folds: tuple[Ratings, Ratings]) -> None:
    train, test = folds
    few = test.take(np.flatnonzero(test.user < 4))  # all of them cold
    spec = discover()["popularity"]
    result = evaluate_ranking(spec.fit(train, spec.config(), seed=0), train, few, (10,), name="popularity")
    with pytest.warns(UserWarning, match="slice|hit") as caught:
        described = describe_lists([result], train, seed=0, n_resamples=20)
    messages = " ".join(str(warning.message) for warning in caught)
    assert "slice 'warm' of users rests on no users" in messages
    assert "fewer than 20 users with a hit" in messages
    sections = list_sections(described, "popularity")
    page = render_page(report(*sections))
    assert "no users" in page
    assert "Too few hits to judge any model" in page
    assert "nan" not in page.split("</style>")[1]


def test_no_users_at_all_is_a_page_of_undefined_figures(folds: tuple[Ratings, Ratings]) -> None:
    train, test = folds
    spec = discover()["popularity"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # each has its own test
        nobody = evaluate_ranking(
            spec.fit(train, spec.config(), seed=0), train, test.take(np.empty(0, int)), (10,), name="popularity"
        )
        described = describe_lists([nobody], train, seed=0, item_mix=MIX, n_resamples=20)
    assert all(math.isnan(row.value) and row.n == 0 for row in described.variety)
    assert all(math.isnan(row.value) and row.n_users == 0 for row in described.slices)
    page = render_page(report(*list_sections(described, "popularity")))
    assert "undefined" in page


def test_other_users_for_the_plainest_model_are_refused(results: list[RankingResult], folds) -> None:
    fewer = dataclasses.replace(results[0], users=results[0].users + 1)
    with pytest.raises(DataError, match="different users"):
        list_facts(results[1], folds[0], plainest=fewer)
    with pytest.raises(DataError, match="different users"):
        describe_lists([fewer, results[1]], folds[0], seed=0)


def test_plots_repeat_to_the_byte_and_take_missing_parts(described: ListReport) -> None:
    bins = [row for row in described.reliability if row.model == "popularity"]
    figures = [row for row in described.slices if row.metric == "ndcg"]
    for plot in (
        lambda: list_plots.reliability_plot(bins),
        lambda: list_plots.matthew_curves(described.matthew),
        lambda: list_plots.slice_dots(figures, {"cold": "few", "warm": "many"}, "NDCG@10"),
    ):
        assert to_svg(plot(), "same") == to_svg(plot(), "same")
    assert to_svg(list_plots.reliability_plot([]), "empty")
    assert to_svg(list_plots.slice_dots([], {}, "NDCG@10"), "empty")
    assert slices_section([], "als").headline == variety_section([], "als").headline == ""
