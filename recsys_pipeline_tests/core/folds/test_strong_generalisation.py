"""Users that are held out whole: nothing lost, nothing leaked, the latest rows tested."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.folds.strong_generalisation import strong_generalisation
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.strategies import ratings

SHARES = st.sampled_from([0.01, 0.2, 0.5, 0.99])


def able_users(data: Ratings) -> int:
    return int((np.bincount(data.user, minlength=data.n_users) >= 2).sum())


@given(data=ratings(), user_share=SHARES, target_share=SHARES, seed=st.integers(0, 3))
def test_users_are_either_learned_from_or_held_out(
    data: Ratings, user_share: float, target_share: float, seed: int
) -> None:
    assume(able_users(data) >= 2)
    found = strong_generalisation(data, user_share, seed, target_share)
    assert sorted([*found.train, *found.history, *found.test]) == list(range(len(data)))
    learned, known, tested = (set(data.user[rows]) for rows in (found.train, found.history, found.test))
    assert not learned & tested
    assert known == tested
    assert len(tested) == min(max(1, round(user_share * able_users(data))), able_users(data) - 1)


@given(data=ratings(), target_share=SHARES)
def test_each_held_out_user_is_tested_on_the_latest_share(data: Ratings, target_share: float) -> None:
    assume(able_users(data) >= 2)
    found = strong_generalisation(data, 0.5, seed=0, target_share=target_share)
    for user in np.unique(data.user[found.test]):
        known = data.timestamp_us[found.history[data.user[found.history] == user]]
        tested = data.timestamp_us[found.test[data.user[found.test] == user]]
        assert known.max() <= tested.min()
        n_rows = len(known) + len(tested)
        assert len(tested) == min(max(1, round(target_share * n_rows)), n_rows - 1)


@given(data=ratings(), order=st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_rows(data: Ratings, order) -> None:
    assume(able_users(data) >= 2)
    shuffled = np.array(order.sample(range(len(data)), len(data)))
    first, second = strong_generalisation(data, 0.5, 3), strong_generalisation(data.take(shuffled), 0.5, 3)
    assert set(first.test) == set(shuffled[second.test])
    assert set(first.train) == set(shuffled[second.train])


def test_without_times_the_targets_are_drawn() -> None:
    n_users, n_items = 200, 10
    user, item = (ids.ravel().astype(np.int32) for ids in np.indices((n_users, n_items)))
    ones, never = np.ones(len(user), np.float32), np.zeros(len(user), np.int64)
    data = Ratings(user, item, ones, never, n_users, n_items)
    tested = data.take(strong_generalisation(data, 0.9, seed=0).test)
    counts = np.bincount(tested.item, minlength=n_items)
    assert counts.sum() == 180 * 2
    assert counts.min() > 15, "each of 10 items is drawn 36 times on average; by item order the first would never be"
    other = data.take(strong_generalisation(data, 0.9, seed=1).test)
    assert set(zip(tested.user, tested.item, strict=True)) != set(zip(other.user, other.item, strict=True))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_bad_shares_are_named(share: float) -> None:
    zeros = np.zeros(2, np.int32)
    data = Ratings(zeros, zeros, np.ones(2, np.float32), np.zeros(2, np.int64), 1, 1)
    with pytest.raises(SettingError, match="user_share"):
        strong_generalisation(data, share, seed=0)
    with pytest.raises(SettingError, match="target_share"):
        strong_generalisation(data, 0.5, seed=0, target_share=share)


def test_too_few_users_are_refused() -> None:
    users = np.array([0, 0, 1], np.int32)
    data = Ratings(users, np.array([0, 1, 0], np.int32), np.ones(3, np.float32), np.zeros(3, np.int64), 2, 2)
    with pytest.raises(DataError, match="1 users have two rows or more"):
        strong_generalisation(data, 0.5, seed=0)
    with pytest.raises(DataError, match="0 users"):
        strong_generalisation(dataclasses.replace(data.take(np.array([0])), n_users=1), 0.5, seed=0)
