"""Popularity propensities and the ranking figures that they weigh."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brent

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline.core.reports.off_policy.propensity import (
    fit_power_law,
    observed_exponent,
    weighted_metrics_loop,
    weighted_ranking_metrics,
)

POPULARITY = np.random.default_rng(0).zipf(1.7, 300) % 5000


@pytest.mark.parametrize("exponent", [-0.4, 0.0, 0.7, 1.6])
def test_the_exponent_that_made_the_data_is_found(exponent: float) -> None:
    odds = (POPULARITY + 1.0) ** exponent
    shown = np.random.default_rng(1).multinomial(50_000, odds / odds.sum())
    law = fit_power_law(POPULARITY, shown)
    assert abs(law.exponent - exponent) < 4 * law.standard_error
    assert law.standard_error < 0.02
    assert 0.8 < law.dispersion < 1.25
    assert law.propensity(POPULARITY).sum() == pytest.approx(1)


def test_newton_agrees_with_a_general_optimiser() -> None:
    shown = np.random.default_rng(2).integers(0, 40, 300)  # not of the family: only the maximum counts
    feature = np.log(POPULARITY + 1.0)

    def loss(exponent: float) -> float:
        return -float(shown @ (exponent * feature - np.log(np.exp(exponent * feature).sum())))

    expected = brent(loss, brack=(-3, 3), tol=1e-10)
    law = fit_power_law(POPULARITY, shown)
    assert law.exponent == pytest.approx(expected, abs=1e-5)
    assert law.dispersion > 3  # other things decide, and the standard error says so


@pytest.mark.parametrize(
    ("popularity", "shown"), [([1, 2, 3], [0, 0, 0]), ([4, 4, 4], [1, 2, 3]), ([1, 2, 9], [0, 0, 7]), ([5], [2])]
)
def test_no_law_without_evidence(popularity: list[int], shown: list[int]) -> None:
    with pytest.warns(UserWarning, match="no power law"):
        law = fit_power_law(np.array(popularity), np.array(shown))
    assert math.isnan(law.exponent)


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_bad_counts_are_named(bad: float) -> None:
    with pytest.raises(DataError, match="shown of item 1"):
        fit_power_law(np.ones(2), np.array([1.0, bad]))


def test_exponent_over_observed_counts() -> None:
    """True interest n, exposure p ∝ (n p)^γ n: the propensity must follow observed counts^((γ + 1) / 2)."""
    interest, exposure, gamma = np.array([2.0, 5.0, 40.0]), np.ones(3), 0.6
    for _ in range(400):
        exposure = exposure**0.5 * ((interest * exposure) ** gamma * interest) ** 0.5
        exposure = exposure / exposure[0]
    slope = np.polyfit(np.log(interest * exposure), np.log(exposure), 1)[0]
    assert slope == pytest.approx(observed_exponent(gamma))


rows_of_users = st.lists(
    st.lists(st.tuples(st.integers(1, 40), st.floats(1e-3, 1)), min_size=1, max_size=6, unique_by=lambda row: row[0]),
    min_size=1,
    max_size=5,
)


@given(rows_of_users, st.integers(1, 30))
def test_weighted_metrics_equal_their_loop(users: list[list[tuple[int, float]]], k: int) -> None:
    user = np.repeat(np.arange(len(users)), [len(rows) for rows in users])
    place = np.array([place for rows in users for place, _ in rows])
    propensity = np.array([propensity for rows in users for _, propensity in rows])
    order = np.random.default_rng(k).permutation(len(user))
    found_users, found = weighted_ranking_metrics(user[order], TiedPlaces.untied(place[order]), propensity[order], (k,))
    assert found_users.tolist() == list(range(len(users)))
    for number, rows in enumerate(users):
        expected = weighted_metrics_loop(rows, k)
        assert {name: values[number, 0] for name, values in found.items()} == pytest.approx(expected)


def test_equal_propensities_give_the_plain_metrics() -> None:
    places, ks = np.array([2, 5, 30]), (3, 10)
    _, found = weighted_ranking_metrics(np.zeros(3, int), TiedPlaces.untied(places), np.full(3, 0.2), ks)
    for column, k in enumerate(ks):
        plain = list_metrics(list(range(1, 51)), dict.fromkeys((2, 5, 30), 1.0), k)
        assert found["recall"][0, column] == pytest.approx(plain["recall"])
        assert found["ndcg"][0, column] == pytest.approx(plain["ndcg"])


def test_finding_the_rare_item_counts_more_than_finding_the_popular_one() -> None:
    propensity = np.array([0.5, 0.01])
    _, rare = weighted_ranking_metrics(np.zeros(2, int), TiedPlaces.untied(np.array([50, 1])), propensity, (10,))
    _, popular = weighted_ranking_metrics(np.zeros(2, int), TiedPlaces.untied(np.array([1, 50])), propensity, (10,))
    assert rare["recall"][0, 0] == pytest.approx(100 / 102)
    assert popular["recall"][0, 0] == pytest.approx(2 / 102)
    assert rare["ndcg"][0, 0] > popular["ndcg"][0, 0]


def test_weighted_metrics_are_right_on_average_where_plain_ones_are_not() -> None:
    """A user likes 40 items; each is observed with its propensity: the weighted recall stays that of all 40."""
    rng = np.random.default_rng(0)
    propensity = np.linspace(0.05, 0.95, 40)
    place = np.where(propensity > 0.5, 1, 100)  # a model that finds the popular half
    draws = rng.random((4000, 40)) < propensity
    draws = draws[draws.any(axis=1)]
    user, item = np.nonzero(draws)
    _, weighted = weighted_ranking_metrics(user, TiedPlaces.untied(place[item]), propensity[item], (10,))
    _, plain = weighted_ranking_metrics(user, TiedPlaces.untied(place[item]), np.ones(len(item)), (10,))
    assert weighted["recall"].mean() == pytest.approx(0.5, abs=0.04)  # self-normalised: biased by O(1 / rows)
    assert plain["recall"].mean() > 0.7


def test_bad_rows_and_ks_are_named() -> None:
    user, places, propensity = np.zeros(2, int), TiedPlaces.untied(np.array([1, 2])), np.array([0.5, 0.5])
    with pytest.raises(DataError, match=r"propensity in row 1 is 0\.0"):
        weighted_ranking_metrics(user, places, np.array([0.5, 0.0]), (10,))
    with pytest.raises(SettingError, match="ks"):
        weighted_ranking_metrics(user, places, propensity, (0,))


def test_no_rows_are_no_users() -> None:
    none = np.zeros(0, int)
    users, found = weighted_ranking_metrics(none, TiedPlaces.untied(none), np.zeros(0), (10,))
    assert len(users) == 0
    assert found["recall"].shape == (0, 1)
