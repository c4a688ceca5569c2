"""Ranking and rating metrics: golden cases by hand, scikit-learn as a second opinion, the plain-Python twin."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.metrics import (
    RANKING_METRICS,
    catalogue_coverage,
    list_metrics,
    metric_columns,
    ranking_metric,
    rmse,
    user_metrics,
)

KS = (1, 3, 10)


@st.composite
def ranked_users(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Hits and numbers of relevant items, at least as many as hits and at least one."""
    n_users, places = draw(st.integers(1, 6)), draw(st.integers(0, 12))
    hits = np.array(draw(st.lists(st.booleans(), min_size=n_users * places, max_size=n_users * places)), dtype=bool)
    hits = hits.reshape(n_users, places)
    extra = np.array(draw(st.lists(st.integers(0, 5), min_size=n_users, max_size=n_users)))
    return hits, np.maximum(hits.sum(axis=1) + extra, 1)


def columns_of(hits: list[bool], n_relevant: int, ks: tuple[int, ...] = KS) -> dict[tuple[str, int], float]:
    values = user_metrics(np.array([hits]), np.array([n_relevant]), ks)
    return dict(zip(metric_columns(ks), values[0].tolist(), strict=True))


def test_golden_list_with_hits_in_places_two_and_three() -> None:
    found = columns_of([False, True, True, False], n_relevant=4)
    assert found["recall", 3] == 2 / 4
    assert found["precision", 3] == 2 / 3
    assert found["precision", 10] == 2 / 10  # six empty places are misses
    assert found["mrr", 3] == 1 / 2
    assert found["mrr", 1] == 0
    assert found["hit_rate", 1] == 0
    assert found["hit_rate", 3] == 1
    assert found["map", 3] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found["map", 10] == pytest.approx((1 / 2 + 2 / 3) / 4)
    dcg = 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg", 3] == pytest.approx(dcg / (1 + 1 / math.log2(3) + 1 / 2))
    assert found["ndcg", 10] == pytest.approx(dcg / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)))


def test_perfect_list_scores_one_everywhere_but_in_precision_past_its_length() -> None:
    found = columns_of([True, True, True], n_relevant=3)
    assert {
        name: found[name, 3] for name in ("ndcg", "recall", "precision", "map", "mrr", "hit_rate")
    } == dict.fromkeys(("ndcg", "recall", "precision", "map", "mrr", "hit_rate"), 1.0)
    assert found["precision", 10] == pytest.approx(0.3)
    assert found["ndcg", 10] == found["map", 10] == 1.0


@settings(max_examples=60, deadline=None)
@given(ranked_users())
def test_one_pass_equals_the_plain_twin(users: tuple[np.ndarray, np.ndarray]) -> None:
    hits, n_relevant = users
    values = user_metrics(hits, n_relevant, KS)
    for row, (row_hits, n) in enumerate(zip(hits, n_relevant, strict=True)):
        relevant = {int(place) for place in np.flatnonzero(row_hits)}
        relevant |= {1000 + extra for extra in range(n - len(relevant))}
        for k in KS:
            for name, expected in list_metrics(range(hits.shape[1]), relevant, k).items():
                got = values[row, metric_columns(KS).index((name, k))]
                assert got == pytest.approx(expected, abs=1e-12), (name, k)


@settings(max_examples=60, deadline=None)
@given(ranked_users())
def test_bounds_and_growth_with_k(users: tuple[np.ndarray, np.ndarray]) -> None:
    values = user_metrics(*users, KS)
    assert (values >= 0).all()
    assert (values <= 1 + 1e-12).all()
    for name in ("recall", "hit_rate", "mrr"):
        at = [metric_columns(KS).index((name, k)) for k in KS]
        assert (np.diff(values[:, at], axis=1) >= 0).all(), name


@pytest.mark.parametrize("k", [1, 5, 20])
def test_ndcg_equals_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    relevance, scores = rng.random((30, 20)) < 0.3, rng.random((30, 20))
    relevance[:, 0] = True
    ordered = np.take_along_axis(relevance, np.argsort(-scores, axis=1), axis=1)
    ours = user_metrics(ordered, relevance.sum(axis=1), (k,))[:, metric_columns((k,)).index(("ndcg", k))]
    assert ours.mean() == pytest.approx(sklearn.metrics.ndcg_score(relevance, scores, k=k))


def test_average_precision_and_reciprocal_rank_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    relevance, scores = rng.random((30, 20)) < 0.3, rng.random((30, 20))
    relevance[:, 0] = True
    ordered = np.take_along_axis(relevance, np.argsort(-scores, axis=1), axis=1)
    values = user_metrics(ordered, relevance.sum(axis=1), (20,))
    theirs = [sklearn.metrics.average_precision_score(row, score) for row, score in zip(relevance, scores, strict=True)]
    np.testing.assert_allclose(values[:, metric_columns((20,)).index(("map", 20))], theirs)
    one = np.eye(20, dtype=bool)[rng.integers(0, 20, 30)]  # with one relevant item, its definition is ours
    ordered = np.take_along_axis(one, np.argsort(-scores, axis=1), axis=1)
    ours = user_metrics(ordered, np.ones(30, int), (20,))[:, metric_columns((20,)).index(("mrr", 20))]
    assert ours.mean() == pytest.approx(sklearn.metrics.label_ranking_average_precision_score(one, scores))


def test_users_without_relevant_items_and_bad_cut_offs_are_refused() -> None:
    with pytest.raises(SettingError, match="user row 1 has no relevant"):
        user_metrics(np.zeros((2, 3), bool), np.array([1, 0]), (3,))
    with pytest.raises(SettingError, match="cut-off"):
        user_metrics(np.zeros((1, 3), bool), np.array([1]), (0,))
    with pytest.raises(SettingError, match="two ranking metrics"):
        ranking_metric("ndcg")(RANKING_METRICS["recall"])


def test_rmse_and_coverage_by_hand_and_undefined() -> None:
    assert rmse(np.array([1.0, 0.0, 3.0, 0.0])) == 1.0
    top = np.array([[0, 1, -1], [0, 2, -1]])
    np.testing.assert_array_equal(catalogue_coverage(top, 4, (1, 2, 3)), [0.25, 0.75, 0.75])
    with pytest.warns(UserWarning, match="undefined"):
        assert math.isnan(rmse(np.empty(0)))
    with pytest.warns(UserWarning, match="undefined"):
        assert np.isnan(catalogue_coverage(np.empty((0, 3), int), 4, (1,))).all()
