"""Ranking and rating metrics: golden cases by hand, scikit-learn as a second opinion, the plain-Python twin."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.judged import Judged, judge
from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.metrics import (
    RANKING_METRICS,
    catalogue_coverage,
    metric_columns,
    ranking_metric,
    user_metrics,
)
from recsys_pipeline.core.reports.accuracy.rating_metrics import mae, rmse
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces

KS = (1, 3, 10)
MISS = math.nan
UNBOUNDED = {"arhr"}


def judged(rankings: list[list[float]], places: int) -> Judged:
    """Users' whole rankings as the value of each item in order (NaN: not relevant), lists cut at `places`."""
    relevant = [np.flatnonzero(~np.isnan(ranking)) for ranking in rankings]
    return judge(
        np.repeat(np.arange(len(rankings)), [len(at) for at in relevant]),
        np.concatenate([np.array(row, np.float32)[at] for row, at in zip(rankings, relevant, strict=True)]),
        TiedPlaces.untied(np.concatenate([at + 1 for at in relevant])),
        np.array([len(ranking) for ranking in rankings], np.int64),
        places,
    )


@st.composite
def rankings(draw: st.DrawFn) -> list[list[float]]:
    """Whole rankings of up to 14 candidates with one relevant item or more."""
    row = st.lists(st.sampled_from([MISS, MISS, -1.0, 0.0, 2.0, 5.0]), min_size=1, max_size=14)
    return draw(st.lists(row.filter(lambda values: not np.isnan(values).all()), min_size=1, max_size=5))


def columns_of(ranking: list[float], places: int = 10, ks: tuple[int, ...] = KS) -> dict[tuple[str, int], float]:
    values = user_metrics(judged([ranking], places), ks)
    return dict(zip(metric_columns(ks), values[0].tolist(), strict=True))


def test_golden_list_with_hits_in_places_two_and_three() -> None:
    found = columns_of([MISS, 4.0, 2.0, MISS, 5.0, 1.0, MISS, MISS], places=4)
    assert found["recall", 3] == 2 / 4
    assert found["precision", 3] == 2 / 3
    assert found["precision", 10] == 2 / 10  # six empty places are misses
    assert found["mrr", 3] == 1 / 2
    assert found["mrr", 1] == 0
    assert found["arhr", 3] == pytest.approx(1 / 2 + 1 / 3)
    assert found["hit_rate", 1] == 0
    assert found["hit_rate", 3] == 1
    assert found["map", 3] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found["map", 10] == pytest.approx((1 / 2 + 2 / 3) / 4)
    dcg = 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg", 3] == pytest.approx(dcg / (1 + 1 / math.log2(3) + 1 / 2))
    assert found["ndcg", 10] == pytest.approx(dcg / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)))
    graded = (4 / math.log2(3) + 2 / 2) / (5 + 4 / math.log2(3) + 2 / 2)
    assert found["graded_ndcg", 3] == pytest.approx(graded)
    assert found["r_precision", 0] == 2 / 4
    assert found["auc", 0] == (0 + 2 + 4 + 4) / 16  # relevant items above each of the four others
    assert found["limited_auc", 3] == (0 + 3 * (2 + 4) / 2) / 16  # three others below place 3, spread evenly


def test_perfect_list_scores_one_everywhere_but_in_precision_past_its_length() -> None:
    found = columns_of([3.0, 2.0, 1.0, MISS, MISS])
    bounded = [name for name in RANKING_METRICS if name not in UNBOUNDED]
    assert {name: found[name, 3 if RANKING_METRICS[name].has_cutoff else 0] for name in bounded} == dict.fromkeys(
        bounded, 1.0
    )
    assert found["precision", 10] == pytest.approx(0.3)
    assert found["ndcg", 10] == found["map", 10] == 1.0


def test_what_is_not_defined_is_nan() -> None:
    found = columns_of([0.0, 0.0])
    assert math.isnan(found["auc", 0])  # nothing that is not relevant
    assert math.isnan(found["limited_auc", 3])
    assert math.isnan(found["graded_ndcg", 3])  # nothing of any value
    assert found["ndcg", 3] == 1.0


@settings(max_examples=80, deadline=None)
@given(rankings(), st.integers(10, 12))
def test_one_pass_equals_the_plain_twin(users: list[list[float]], places: int) -> None:
    values = user_metrics(judged(users, places), KS)
    for row, ranking in enumerate(users):
        relevant = {at: value for at, value in enumerate(ranking) if not math.isnan(value)}
        for k in KS:
            for name, expected in list_metrics(range(len(ranking)), relevant, k).items():
                at = metric_columns(KS).index((name, k if RANKING_METRICS[name].has_cutoff else 0))
                assert values[row, at] == pytest.approx(expected, abs=1e-12, nan_ok=True), (name, k)


@settings(max_examples=60, deadline=None)
@given(rankings())
def test_bounds_and_growth_with_k(users: list[list[float]]) -> None:
    values = user_metrics(judged(users, 10), KS)
    for at, (name, _) in enumerate(metric_columns(KS)):
        defined = values[~np.isnan(values[:, at]), at]
        assert (defined >= 0).all(), name
        assert (defined <= (np.inf if name in UNBOUNDED else 1 + 1e-12)).all(), name
    for name in ("recall", "hit_rate", "mrr", "arhr"):
        at = [metric_columns(KS).index((name, k)) for k in KS]
        assert (np.diff(values[:, at], axis=1) >= 0).all(), name


def test_limited_auc_of_the_whole_list_is_the_auc() -> None:
    rng = np.random.default_rng(3)
    users = [[1.0 if relevant else MISS for relevant in rng.random(9) < 0.4] + [MISS, 1.0] for _ in range(20)]
    values = user_metrics(judged(users, 11), (11,))
    columns = metric_columns((11,))
    np.testing.assert_allclose(values[:, columns.index(("limited_auc", 11))], values[:, columns.index(("auc", 0))])


def test_users_without_relevant_items_and_bad_cut_offs_are_refused() -> None:
    one = judged([[1.0, MISS]], 2)
    with pytest.raises(SettingError, match="user row 0 has no relevant"):
        user_metrics(judged([[MISS, MISS]], 2), (3,))
    with pytest.raises(SettingError, match="cut-off"):
        user_metrics(one, (0,))
    with pytest.raises(SettingError, match="two ranking metrics"):
        ranking_metric("ndcg")(RANKING_METRICS["recall"].function)


def test_errors_of_values_and_coverage_by_hand_and_undefined() -> None:
    errors = np.array([1.0, 0.0, -3.0, 0.0])
    assert rmse(errors) == math.sqrt(10 / 4)
    assert mae(errors) == 1.0
    assert rmse(errors) == pytest.approx(sklearn.metrics.root_mean_squared_error(np.zeros(4), errors))
    top = np.array([[0, 1, -1], [0, 2, -1]])
    np.testing.assert_array_equal(catalogue_coverage(top, 4, (1, 2, 3)), [0.25, 0.75, 0.75])
    for metric in (rmse, mae):
        with pytest.warns(UserWarning, match="undefined"):
            assert math.isnan(metric(np.empty(0)))
    with pytest.warns(UserWarning, match="undefined"):
        assert np.isnan(catalogue_coverage(np.empty((0, 3), int), 4, (1,))).all()
