"""Churn between two days' lists: golden lists, the loops, matching by id."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.reports.lists.churn import (
    jaccard_churn,
    jaccard_churn_loop,
    rank_biased_churn,
    rank_biased_churn_loop,
    renumbered,
    users_on_both,
)
from recsys_pipeline_tests.core.reports.lists.test_beyond_accuracy import random_lists

KS = (4, 1, 9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.99))
def test_both_churns_equal_their_loops(seed: int, persistence: float) -> None:
    rng = np.random.default_rng(seed)
    n_users, n_items = int(rng.integers(1, 5)), int(rng.integers(1, 12))
    before, after = (random_lists(rng, n_users, int(rng.integers(1, 9)), n_items) for _ in range(2))
    sets, ranks = jaccard_churn(before, after, KS), rank_biased_churn(before, after, KS, persistence)
    for user in range(n_users):
        for at, k in enumerate(KS):
            pair = before[user].tolist(), after[user].tolist()
            assert sets[user, at] == pytest.approx(jaccard_churn_loop(*pair, k), nan_ok=True)
            assert ranks[user, at] == pytest.approx(
                rank_biased_churn_loop(*pair, k, persistence), abs=1e-9, nan_ok=True
            )


def test_same_swapped_reordered_disjoint_and_empty_lists() -> None:
    before = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3], [-1, -1, -1], [1, -1, -1]])
    after = np.array([[1, 2, 3], [1, 2, 9], [3, 2, 1], [7, 8, 9], [-1, -1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(jaccard_churn(before, after, (3,))[:, 0], [0, 2 / 4, 0, 1, np.nan, 1])
    ranked = rank_biased_churn(before, after, (3,), 0.9)[:, 0]
    np.testing.assert_allclose(ranked[[0, 3, 4, 5]], [0, 1, np.nan, 1], atol=1e-12)
    agreements = np.array([0, 1 / 2, 1])  # of [1, 2, 3] and [3, 2, 1] at depths 1, 2, 3
    expected = agreements[2] * 0.9**3 + 0.1 / 0.9 * (agreements * 0.9 ** np.arange(1, 4)).sum()
    assert ranked[2] == pytest.approx(1 - expected)


def test_rank_biased_overlap_of_another_implementation() -> None:
    # The README of github.com/b4ny4n/rankmeasures gives 0.828 for these lists.
    before, after = np.array([[1, 2, 3, 4, 5]]), np.array([[2, 3, 4, 1, 5]])
    assert 1 - rank_biased_churn(before, after, (5,), 0.9)[0, 0] == pytest.approx(0.828, abs=5e-4)


def test_a_change_on_top_weighs_more() -> None:
    before = np.array([[1, 2, 3, 4]])
    above, below = np.array([[9, 2, 3, 4]]), np.array([[1, 2, 3, 9]])
    assert jaccard_churn(before, above, (4,)) == jaccard_churn(before, below, (4,))
    assert rank_biased_churn(before, above, (4,)) > rank_biased_churn(before, below, (4,))


def test_users_are_matched_by_id() -> None:
    rows_before, rows_after = users_on_both(["c", "a", "b"], ["b", "d", "c"])
    assert rows_before.tolist() == [2, 0]
    assert rows_after.tolist() == [0, 2]
    with pytest.warns(UserWarning, match="both days"):
        assert len(users_on_both(["a"], ["b"])[0]) == 0


def test_items_keep_their_identity_when_numbers_change() -> None:
    lists = np.array([[0, 2, -1], [1, 0, 2]])
    found = renumbered(lists, ["a", "b", "c"], ["c", "x", "a"])
    np.testing.assert_array_equal(found, [[2, 0, -1], [4, 2, 0]])  # b is gone: a number that no item of today has
