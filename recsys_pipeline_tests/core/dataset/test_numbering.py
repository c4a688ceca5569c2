"""Numbers of users and items follow from what was done, and neither from names nor from the order of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.numbering import renumbered
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.strategies import ratings


def renamed(data: Ratings, seed: int) -> Ratings:
    """The same rows in another order, by other provisional numbers."""
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(data.n_users).astype(np.int32), rng.permutation(data.n_items).astype(np.int32)
    rows = rng.permutation(len(data))
    columns = {"value": data.value[rows], "timestamp_us": data.timestamp_us[rows]}
    return Ratings(
        users[data.user[rows]], items[data.item[rows]], **columns, n_users=data.n_users, n_items=data.n_items
    )


def bits(data: Ratings) -> list[bytes]:
    return [getattr(data, name).tobytes() for name in ("user", "item", "value", "timestamp_us")]


def numbered(data: Ratings) -> Ratings:
    return renumbered({"data": data}, ["data"])["data"]


@given(data=ratings(), seed=st.integers(0, 1_000))
def test_names_and_the_order_of_rows_change_no_bit(data: Ratings, seed: int) -> None:
    assert bits(numbered(renamed(data, seed))) == bits(numbered(data))


@given(data=ratings())
def test_the_rows_stay_what_they_are(data: Ratings) -> None:
    found = numbered(data)
    for name in ("user", "item"):
        old, new = (np.sort(np.bincount(getattr(part, name))) for part in (data, found))
        np.testing.assert_array_equal(old[old > 0], new[new > 0])
    pairs = {(user, item) for user, item in zip(found.user.tolist(), found.item.tolist(), strict=True)}
    assert len(pairs) == len(data)
    assert sorted(zip(found.timestamp_us, found.value, strict=True)) == sorted(
        zip(data.timestamp_us, data.value, strict=True)
    )


@pytest.mark.parametrize("n_groups", [1, 3, 70])
def test_users_whom_no_row_tells_apart_are_numbered_together_with_their_items(n_groups: int) -> None:
    """Each group of two users and two items looks like every other, so that a choice for one fixes its partner."""
    user = np.repeat(np.arange(2 * n_groups), 2).astype(np.int32)
    item = (user // 2 * 2 + np.tile([0, 1], 2 * n_groups)).astype(np.int32)
    value = np.tile([1.0, 2.0, 2.0, 1.0], n_groups).astype(np.float32)
    data = Ratings(user, item, value, np.zeros(len(user), np.int64), 2 * n_groups, 2 * n_groups)
    expected = bits(numbered(data))
    assert all(bits(numbered(renamed(data, seed))) == expected for seed in range(5))


def test_rows_that_are_not_known_get_the_numbers_of_the_others() -> None:
    one = np.ones(3, np.float32)
    at = np.arange(3, dtype=np.int64)
    train = Ratings(np.array([0, 1, 1], np.int32), np.array([0, 0, 1], np.int32), one, at, 2, 2)
    asked = train.take(np.array([2]))
    found = renumbered({"train": train, "asked": asked}, ["train"])
    pair = found["train"].take(found["train"].timestamp_us == 2)
    assert (found["asked"].user.tolist(), found["asked"].item.tolist()) == (pair.user.tolist(), pair.item.tolist())
