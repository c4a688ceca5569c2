"""Slices: where they begin and end, figures with the right n, intervals against loops, empty slices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.ratios import mean_estimates, ratio_intervals, ratio_intervals_loop
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline.core.reports.calibration.reliability import wilson_interval
from recsys_pipeline.core.reports.lists.slices import (
    DAY_US,
    PlacedRows,
    SliceConfig,
    activity_slices,
    item_slice_sums,
    new_item_slices,
    popularity_slices,
    slice_figures,
    slice_value_loop,
    user_slice_sums,
)


def test_head_torso_and_tail_by_hand() -> None:
    slices = popularity_slices(np.array([1, 5, 3, 0, 3]))
    # 12 rows in the order 5, 3, 3, 1, 0: above them stand 0, 5, 5 (equals together), 11, 12; cuts are at 4 and 8.
    assert {name: np.flatnonzero(mask).tolist() for name, mask in slices.items()} == {
        "head": [1],
        "torso": [2, 4],
        "tail": [0, 3],
    }


@given(st.lists(st.integers(0, 20), min_size=1, max_size=15).map(np.array), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
@pytest.mark.filterwarnings("ignore:no train rows")
def test_every_item_is_in_one_slice_and_none_is_above_a_more_popular_one(
    popularity: np.ndarray, a: float, b: float
) -> None:
    slices = popularity_slices(popularity, SliceConfig(head_share=min(a, b), torso_share=max(a, b)))
    assert (np.sum(list(slices.values()), axis=0) == 1).all()
    least, most = popularity[slices["head"]].min(initial=99), popularity[slices["tail"]].max(initial=0)
    assert least >= most
    assert slices["head"].any() == (popularity.sum() > 0)
    assert slices["tail"][popularity == 0].all()


def test_new_items_leave_out_those_of_the_first_day() -> None:
    days = np.array([0, 0, 3, 9, 12])
    popularity = np.array([0, 9, 9, 9, 9])
    recent = new_item_slices(popularity, days * DAY_US + 5, 13 * DAY_US, SliceConfig(new_days=4.0))
    assert np.flatnonzero(recent["new"]).tolist() == [0, 3, 4]  # item 0 has no train row
    young = new_item_slices(popularity, days * DAY_US + 5, 13 * DAY_US, SliceConfig(new_days=99.0))
    assert np.flatnonzero(young["new"]).tolist() == [0, 2, 3, 4]
    assert np.flatnonzero(new_item_slices(popularity, None, 0)["new"]).tolist() == [0]
    assert np.flatnonzero(activity_slices(np.array([1, 5, 6]))["warm"]).tolist() == [2]
    with pytest.raises(SettingError, match="is above torso_share"):
        SliceConfig(head_share=0.7, torso_share=0.5)


PLACED = PlacedRows(
    users=np.array([2, 5, 7]),
    user=np.array([2, 2, 5, 7]),
    item=np.array([0, 1, 0, 2]),
    places=TiedPlaces.untied(np.array([1, 9, 4, 30])),
)


def test_recall_over_rows_counts_the_rows_of_the_slice_only() -> None:
    slices = {"head": np.array([True, False, False]), "tail": np.array([False, True, True])}
    found = {(row.slice, row.k): row for row in slice_figures(item_slice_sums("als", PLACED, slices, (3, 10)), seed=0)}
    assert (found["head", 3].value, found["head", 10].value) == (0.5, 1.0)
    assert (found["tail", 3].value, found["tail", 10].value) == (0.0, 0.5)
    assert (found["head", 3].n_users, found["head", 3].n_rows) == (2, 2)
    assert (found["tail", 3].n_users, found["tail", 3].n_rows) == (2, 2)
    assert (found["head", 10].low, found["head", 10].high) == wilson_interval(1.0, 2.0)  # two of two: no certainty
    assert found["tail", 3].high == pytest.approx(wilson_interval(0.0, 2.0)[1])
    assert found["tail", 10].low == 0
    assert found["tail", 10].high == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_item_slices_equal_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_rows, mask = int(rng.integers(1, 30)), rng.random(6) < 0.5
    user, item, place = np.sort(rng.integers(0, 5, n_rows)), rng.integers(0, 6, n_rows), rng.integers(1, 9, n_rows)
    value, n_users, rows = slice_value_loop(user.tolist(), item.tolist(), place.tolist(), mask.tolist(), 4)
    placed = PlacedRows(np.unique(user), user, item, TiedPlaces.untied(place))
    slices = {"some": mask, "all": np.ones(6, bool)}
    if math.isnan(value):
        with pytest.warns(UserWarning, match="'some' of items rests on no users"):
            found = slice_figures(item_slice_sums("als", placed, slices, (4,)), seed, 20)
    else:
        found = slice_figures(item_slice_sums("als", placed, slices, (4,)), seed, 20)
    assert found[0].value == pytest.approx(value, nan_ok=True)
    assert (found[0].n_users, found[0].n_rows, found[1].n_rows) == (n_users, rows, n_rows)


def test_users_without_a_defined_value_do_not_count() -> None:
    values = np.array([[1.0, np.nan], [0.0, 0.5], [0.5, np.nan]])
    slices = {"cold": np.array([True, True, False]), "warm": np.array([False, False, True])}
    slices["odd"] = np.zeros(3, bool)
    sums = user_slice_sums("als", [("ndcg", 10), ("auc", 0)], values, np.array([2, 3, 4]), slices)
    with pytest.warns(UserWarning, match="rests on no users") as caught:
        found = slice_figures(sums, seed=0)
    undefined = {str(warning.message).split(" rests")[0] for warning in caught}
    assert undefined == {
        f"{name} of users" for name in ("auc on the slice 'warm'", "ndcg on the slice 'odd'", "auc on the slice 'odd'")
    }
    at = {(row.slice, row.metric): row for row in found}
    assert (at["cold", "ndcg"].value, at["cold", "ndcg"].n_users, at["cold", "ndcg"].n_rows) == (0.5, 2, 5)
    assert (at["cold", "auc"].value, at["cold", "auc"].n_users, at["cold", "auc"].n_rows) == (0.5, 1, 3)
    assert math.isnan(at["warm", "auc"].value)
    assert math.isnan(at["warm", "auc"].low)
    assert at["warm", "ndcg"].value == 0.5
    assert math.isnan(at["warm", "ndcg"].low)  # of one user nothing can be drawn
    assert math.isnan(at["odd", "ndcg"].value)
    assert at["odd", "ndcg"].n_users == 0


@pytest.mark.parametrize("n", [3, 200])
def test_intervals_of_ratios_equal_the_loop(n: int) -> None:
    rng = np.random.default_rng(n)
    below = rng.integers(0, 3, n)
    above = rng.binomial(below, 0.4)
    columns = np.stack([above, np.ones(n)], axis=1).astype(np.float64), np.stack([below, np.ones(n)], axis=1) * 1.0
    found = ratio_intervals(*columns, seed=3, n_resamples=60)
    expected = ratio_intervals_loop(above.tolist(), below.tolist(), seed=3, n_resamples=60)
    np.testing.assert_allclose(found[:, 0], expected)
    np.testing.assert_allclose(found[:, 1], 1)


def test_intervals_of_a_slice_cover_its_mean_at_the_nominal_rate() -> None:
    rng, covered = np.random.default_rng(0), 0
    for repeat in range(150):
        rows = rng.poisson(1.0, 120).astype(np.float64)  # a third of the users have no row in the slice
        hits = rng.binomial(rows.astype(int), 0.3).astype(np.float64)
        _, low, high = ratio_intervals(hits[:, None], rows[:, None], seed=repeat, n_resamples=200)[:, 0]
        covered += low <= 0.3 <= high
    assert 0.89 < covered / 150 < 0.99  # .95 within 2.3 standard errors, and a little less for 120 users


def test_means_leave_out_undefined_users_and_state_how_many_are_left() -> None:
    values = np.array([[0.2, np.nan], [0.4, 1.0], [np.nan, np.nan]])
    first, second = mean_estimates([("als", "novelty", 5), ("als", "diversity", 5)], values, seed=1)
    assert (first.value, first.n) == (pytest.approx(0.3), 2)
    assert (second.value, second.low, second.high, second.n) == (1, 1, 1, 1)


def test_rows_of_users_who_were_not_evaluated_are_refused() -> None:
    stray = PlacedRows(np.array([2, 5]), np.array([2, 9]), np.array([0, 0]), TiedPlaces.untied(np.array([1, 1])))
    with pytest.raises(DataError, match="row 1 is of user 9"):
        item_slice_sums("als", stray, {"all": np.ones(1, bool)}, (1,))
