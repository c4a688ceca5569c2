"""Agreement of rankings: SciPy's figures against plain loops, textbook cases, undefined ones."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy import rank_agreement
from recsys_pipeline.core.reports.accuracy.rank_agreement import (
    kendall_tau,
    kendall_tau_loop,
    list_agreement,
    list_agreement_loop,
    metric_agreement,
    spearman,
    spearman_loop,
)
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline_tests.core.reports.lists.test_beyond_accuracy import random_lists

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=15).filter(
    lambda pairs: all(len({pair[side] for pair in pairs}) > 1 for side in (0, 1))
)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_figures_equal_the_loops_with_ties(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    assert kendall_tau(a, b) == pytest.approx(kendall_tau_loop(a.tolist(), b.tolist()), abs=1e-12)
    assert spearman(a, b) == pytest.approx(spearman_loop(a.tolist(), b.tolist()), abs=1e-12)


def test_same_reversed_and_a_hand_counted_case() -> None:
    a = np.array([1, 2, 3, 4, 5])
    assert kendall_tau(a, a) == spearman(a, 10.0 * a) == pytest.approx(1)
    assert kendall_tau(a, -a) == spearman(a, -a) == pytest.approx(-1)
    # Two neighbouring swaps: 8 pairs agree, 2 do not; Σd² = 4, so ρ = 1 − 6 · 4 / (5 · 24).
    swapped = np.array([2, 1, 3, 5, 4])
    assert kendall_tau(a, swapped) == pytest.approx(0.6)
    assert spearman(a, swapped) == pytest.approx(0.8)


@pytest.mark.parametrize("agreement", [kendall_tau, spearman])
def test_rankings_that_order_nothing_are_undefined(agreement: Callable[[np.ndarray, np.ndarray], float]) -> None:
    for values in (np.array([1.0]), np.array([2.0, 2.0, 2.0]), np.empty(0)):
        with pytest.warns(UserWarning, match="orders nothing"):
            assert math.isnan(agreement(values, values))
    with pytest.raises(DataError, match="value 1 of the second ranking is NaN"):
        agreement(np.array([1.0, 2.0]), np.array([1.0, np.nan]))


def test_models_by_two_figures() -> None:
    figures = {"als": (0.3, 9.0), "popularity": (0.2, 7.0), "random": (0.1, 8.0), "new": (math.nan, 1.0)}
    estimates = [
        Estimate(model, metric, 10, value, value, value, 5)
        for model, values in figures.items()
        for metric, value in zip(("ndcg", "novelty"), values, strict=True)
    ]
    assert metric_agreement(estimates, ("ndcg", 10), ("novelty", 10)) == pytest.approx(1 / 3)
    with pytest.raises(SettingError, match="no model has ndcg@20"):
        metric_agreement(estimates, ("ndcg", 20), ("novelty", 10))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_lists_of_users_equal_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_users, n_items, k = int(rng.integers(1, 5)), int(rng.integers(1, 9)), int(rng.integers(1, 9))
    a, b = (random_lists(rng, n_users, int(rng.integers(1, 7)), n_items) for _ in range(2))
    expected = [list_agreement_loop(x.tolist(), y.tolist(), k) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(list_agreement(a, b, k), expected, atol=1e-12)


def test_lists_same_reversed_disjoint_and_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]])
    b = np.array([[1, 2, 3], [3, 2, 1], [4, 5, 6], [-1, -1, -1]])
    # Disjoint: all 9 cross pairs disagree; each side orders 15 − 3 of 15 pairs.
    np.testing.assert_allclose(list_agreement(a, b, 3), [1, -1, -9 / 12, np.nan])
    monkeypatch.setattr(rank_agreement, "_BLOCK_PAIRS", 1)
    np.testing.assert_allclose(list_agreement(a, b, 3), [1, -1, -9 / 12, np.nan])
    with pytest.raises(SettingError, match="k = 0"):
        list_agreement(a, b, 0)
