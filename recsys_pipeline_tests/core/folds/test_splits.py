"""Invariants of every split: nothing lost, nothing twice, no leak."""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds import Fold, Split, divide, users_cut_in_a_tie
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.folds.leave_last_out import leave_last_out
from recsys_pipeline.core.folds.prequential import prequential, prequential_by_draws
from recsys_pipeline.core.folds.time_window import sliding_windows, time_window
from recsys_pipeline.core.ratings import Ratings, time_order
from recsys_pipeline_tests.strategies import ratings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPLITTERS = {
    "prequential": lambda data: prequential(data, 0.3, seed=1),
    "by_draws": lambda data: prequential_by_draws(data, 0.3, seed=1),
    "leave_last_out": leave_last_out,
}


def latest_per_user_is_tested(data: Ratings, split: Split) -> bool:
    position = np.empty(len(data), np.int64)
    position[time_order(data)] = np.arange(len(data))
    for user in np.unique(data.user):
        train = position[split.train[data.user[split.train] == user]]
        test = position[split.test[data.user[split.test] == user]]
        if len(test) and (not len(train) or train.max() > test.min()):
            return False
    return True


@pytest.mark.parametrize("name", SPLITTERS)
@given(data=ratings())
def test_nothing_is_lost_or_doubled_and_test_rows_are_the_latest(name: str, data: Ratings) -> None:
    split = SPLITTERS[name](data)
    assert sorted([*split.train, *split.test]) == list(range(len(data)))
    assert latest_per_user_is_tested(data, split)


@given(data=ratings(), share=st.sampled_from([0.1, 0.5, 0.9]), kept=st.integers(1, 3))
def test_prequential_tests_the_global_share_as_far_as_users_can_spare_rows(
    data: Ratings, share: float, kept: int
) -> None:
    spare = np.maximum(np.bincount(data.user) - kept, 0).sum()
    expected = min(round(share * len(data)), spare)
    assert len(prequential(data, share, seed=0, min_train_rows=kept).test) == expected
    assert len(prequential_by_draws(data, share, seed=0, min_train_rows=kept).test) == expected


@given(data=ratings(), order=st.randoms(use_true_random=False))
def test_prequential_does_not_depend_on_the_order_of_rows(data: Ratings, order) -> None:
    shuffled = np.array(order.sample(range(len(data)), len(data)))
    chosen = prequential(data, 0.4, seed=3).test
    chosen_shuffled = shuffled[prequential(data.take(shuffled), 0.4, seed=3).test]
    assert set(chosen) == set(chosen_shuffled)


def grown(n_users: int, n_before: int, n_after: int, seed: int) -> tuple[Ratings, Ratings]:
    """Ratings as of two days: the second has all of the first, and later ones."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n_before + n_after).astype(np.int32)
    at = np.arange(len(user), dtype=np.int64)
    everything = Ratings(user, at.astype(np.int32), np.ones(len(user), np.float32), at, n_users, len(user))
    return everything.take(at < n_before), everything


@given(n_users=st.integers(1, 60), n_before=st.integers(200, 400), n_after=st.integers(0, 60), seed=st.integers(0, 9))
def test_what_was_trained_on_stays_in_train_as_days_are_added(
    n_users: int, n_before: int, n_after: int, seed: int
) -> None:
    before, after = grown(n_users, n_before, n_after, seed)
    train, test = before.item[prequential(before, 0.2, seed).train], after.item[prequential(after, 0.2, seed).test]
    # The lot below which rows are tested moves a little with their number. A new choice each day moved some 20 of 200.
    assert len(np.intersect1d(train, test)) <= 8


def skewed_users(n_users: int = 4) -> Ratings:
    """User u has 2^(u+1) rows; the least active users are the most recent."""
    user = np.repeat(np.arange(n_users), 2 ** np.arange(1, n_users + 1)).astype(np.int32)
    item = np.concatenate([np.arange(n) for n in 2 ** np.arange(1, n_users + 1)]).astype(np.int32)
    hours = np.arange(len(user))[::-1].copy()
    return Ratings(user, item, np.ones(len(user), np.float32), hours.astype(np.int64), n_users, int(item.max()) + 1)


def test_fast_prequential_gives_up_rows_as_the_twin_does() -> None:
    data = skewed_users()
    fast, twin = (
        np.mean([np.bincount(data.user[split(data, 0.4, seed).test], minlength=4) for seed in range(300)], axis=0)
        for split in (prequential, prequential_by_draws)
    )
    np.testing.assert_allclose(fast, twin, atol=0.3)


def test_prequential_does_not_favour_recent_users() -> None:
    data = skewed_users()
    mirrored = dataclasses.replace(data, timestamp_us=data.timestamp_us[::-1].copy())
    counts = [np.bincount(data.user[prequential(d, 0.4, seed=5).test], minlength=4) for d in (data, mirrored)]
    np.testing.assert_array_equal(counts[0], counts[1])


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_prequential_names_a_bad_share(share: float) -> None:
    with pytest.raises(SettingError, match="test_share"):
        prequential(skewed_users(), share, seed=0)


def test_leave_last_out_golden() -> None:
    user = np.array([0, 0, 0, 1, 2, 2], np.int32)
    item = np.array([0, 1, 2, 0, 1, 0], np.int32)
    at = np.array([3, 1, 2, 9, 5, 6], np.int64)
    split = leave_last_out(Ratings(user, item, np.ones(6, np.float32), at, 3, 3))
    assert split.test.tolist() == [0, 5]  # user 1 has one row and keeps it


def test_of_rows_of_one_instant_any_may_be_last_and_a_seed_says_which() -> None:
    """Rows of one second were ordered by item: whoever had the highest number was tested, whatever it was."""
    n_users, n_items = 400, 5
    user, item = (ids.ravel().astype(np.int32) for ids in np.indices((n_users, n_items)))
    data = Ratings(user, item, np.ones(len(user), np.float32), np.full(len(user), 7, np.int64), n_users, n_items)
    drawn = [data.item[leave_last_out(data, tie_seed).test] for tie_seed in (0, 1)]
    for tested in drawn:
        assert np.bincount(tested, minlength=n_items).min() > 50, "80 of each are expected"
    assert (drawn[0] != drawn[1]).mean() == pytest.approx(0.8, abs=0.1)


@given(data=ratings())
def test_rows_of_one_instant_keep_their_order_as_days_are_added(data: Ratings) -> None:
    early = np.flatnonzero(data.timestamp_us < 10 * 3_600_000_000)
    whole = [row for row in time_order(data) if row in set(early)]
    assert whole == early[time_order(data.take(early))].tolist()


def test_users_who_are_cut_among_rows_of_one_instant_are_counted() -> None:
    user, item = np.array([0, 0, 1, 1, 2], np.int32), np.arange(5, dtype=np.int32)
    at = np.array([1, 1, 1, 2, 1], np.int64)
    data = Ratings(user, item, np.ones(5, np.float32), at, 3, 5)
    split = leave_last_out(data)
    assert users_cut_in_a_tie(data.take(split.train), data.take(split.test)) == 1


@given(data=ratings(), cut=st.integers(0, 20), delay=st.integers(0, 5))
def test_time_windows_are_half_open_on_both_sides(data: Ratings, cut: int, delay: int) -> None:
    hours = [EPOCH + timedelta(hours=h) for h in (0, cut, 30)]
    split = time_window(data, *hours, delay=timedelta(hours=delay))
    at = data.timestamp_us // 3_600_000_000
    assert split.train.tolist() == [row for row in range(len(data)) if 0 <= at[row] < cut]
    assert split.test.tolist() == [row for row in range(len(data)) if cut + delay <= at[row] < 30]


def test_time_windows_out_of_order_are_refused() -> None:
    with pytest.raises(SettingError, match="start <= cut"):
        time_window(skewed_users(), EPOCH + timedelta(1), EPOCH, EPOCH + timedelta(2))


def test_time_windows_without_a_zone_or_without_length_are_refused() -> None:
    naive = EPOCH.replace(tzinfo=None)
    with pytest.raises(SettingError, match="must be UTC"):
        time_window(skewed_users(), naive, naive, naive)
    with pytest.raises(SettingError, match="give a positive time"):
        next(sliding_windows(skewed_users(), EPOCH, EPOCH + timedelta(2), train=timedelta(1), test=timedelta(0)))


@given(data=ratings())
def test_sliding_windows_test_each_event_once(data: Ratings) -> None:
    hour = timedelta(hours=1)
    splits = list(sliding_windows(data, EPOCH, EPOCH + 24 * hour, train=6 * hour, test=3 * hour))
    tested = np.concatenate([split.test for split in splits])
    after_first_train = np.flatnonzero(data.timestamp_us >= 6 * 3_600_000_000)
    assert sorted(tested) == after_first_train.tolist()


@given(data=ratings(), n_folds=st.integers(2, 5))
def test_k_fold_tests_every_row_once(data: Ratings, n_folds: int) -> None:
    if n_folds > len(data):
        with pytest.raises(SettingError, match="n_folds"):
            k_fold(data, n_folds, seed=0)
        return
    splits = k_fold(data, n_folds, seed=0)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(data)))
    assert all(not set(split.train) & set(split.test) for split in splits)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1


@given(data=ratings())
def test_a_fold_survives_the_disk(data: Ratings, tmp_path_factory: pytest.TempPathFactory) -> None:
    outer = prequential(data, 0.4, seed=0)
    fold = divide(data, outer, prequential(data.take(outer.train), 0.4, seed=1))
    directory = tmp_path_factory.mktemp("fold")
    fold.save(directory)
    loaded = Fold.load(directory)
    for part in ("train", "validation", "test"):
        for column in ("user", "item", "value", "timestamp_us"):
            np.testing.assert_array_equal(getattr(getattr(fold, part), column), getattr(getattr(loaded, part), column))
    assert len(loaded.train_and_validation) + len(loaded.test) == len(data)
