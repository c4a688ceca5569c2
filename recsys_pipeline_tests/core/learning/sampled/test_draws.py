"""What the trainer draws: order, negatives, further positives."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.learning.sampled import draws
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import planted_blocks

TRAIN = planted_blocks()[0]
OWNED = draws.user_items(TRAIN)
COUNT = np.bincount(TRAIN.item, minlength=TRAIN.n_items).astype(np.float32)


def pairs_of(pairs: set[tuple[int, int]], n_users: int, n_items: int) -> Ratings:
    user, item = (np.array([pair[side] for pair in sorted(pairs)], np.int32) for side in (0, 1))
    return Ratings(user, item, np.ones(len(pairs), np.float32), np.zeros(len(pairs), np.int64), n_users, n_items)


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=30))
def test_the_alias_table_holds_the_chances(weights: list[float]) -> None:
    chance = np.array(weights) / sum(weights)
    table = draws.alias_table(chance)
    total = table.keep.copy()
    np.add.at(total, table.other, 1 - table.keep)
    np.testing.assert_allclose(total / len(chance), chance, atol=1e-12)


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5))), st.integers(0, 2**63))
def test_an_item_that_the_user_has_is_never_a_negative(pairs: set[tuple[int, int]], key: int) -> None:
    train = pairs_of(pairs, 4, 6)
    count = np.bincount(train.item, minlength=6).astype(np.float32)
    sampler = draws.NegativeSampler.of(count, draws.user_items(train), 0.5, exclude_positives=True)
    users = np.arange(4, dtype=np.int32)
    for user, drawn in zip(users, sampler.draw(users, np.arange(4), 7, key), strict=True):
        own = {item for owner, item in pairs if owner == user}
        assert set(drawn.tolist()) == {-1} if len(own) == 6 else not own & set(drawn.tolist())


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_negatives_come_in_proportion_to_popularity_to_the_power(power: float) -> None:
    sampler = draws.NegativeSampler.of(COUNT, OWNED, power, exclude_positives=False)
    users = np.zeros(2000, np.int32)
    drawn = sampler.draw(users, np.arange(2000), 50, draws.stream_key(0, draws.NEGATIVES, 0))
    found = np.bincount(drawn.ravel(), minlength=TRAIN.n_items) / drawn.size
    expected = COUNT**power / (COUNT**power).sum()
    np.testing.assert_allclose(sampler.chance, expected, rtol=1e-6)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(expected.max() / drawn.size))


def test_draws_do_not_depend_on_how_rows_are_cut_but_on_epoch_and_purpose() -> None:
    sampler = draws.NegativeSampler.of(COUNT, OWNED, 0.0, exclude_positives=True)
    key, place = draws.stream_key(3, draws.NEGATIVES, 1), np.arange(len(TRAIN))
    whole = sampler.draw(TRAIN.user, place, 3, key)
    parts = [sampler.draw(TRAIN.user[rows], place[rows], 3, key) for rows in (slice(0, 10), slice(10, None))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    others = [draws.stream_key(3, draws.NEGATIVES, 2), draws.stream_key(3, draws.HISTORY, 1)]
    assert all((sampler.draw(TRAIN.user, place, 3, other) != whole).mean() > 0.9 for other in others)


def test_further_positives_are_the_users_own() -> None:
    nobody = np.full(1, TRAIN.n_users - 1, np.int32)
    users = np.concatenate([TRAIN.user, nobody])
    drawn = draws.draw_items(users, np.arange(len(users)), 5, OWNED, 9)
    taken = np.zeros((TRAIN.n_users, TRAIN.n_items), bool)
    taken[TRAIN.user, TRAIN.item] = True
    assert taken[np.repeat(users, 5), drawn.ravel()].all()
    without = draws.user_items(TRAIN.take(TRAIN.user != nobody[0]))
    np.testing.assert_array_equal(draws.draw_items(nobody, np.arange(1), 5, without, 9), [[-1] * 5])


@pytest.mark.parametrize("exclude", [False, True])
def test_candidates_within_a_batch_equal_two_plain_loops(exclude: bool) -> None:
    n = 24
    user, item = (np.append(ids[: n - 1], np.int32(-1)) for ids in (TRAIN.user, TRAIN.item))
    taken = np.zeros((TRAIN.n_users, TRAIN.n_items), bool)
    taken[TRAIN.user, TRAIN.item] = True
    expected = np.zeros((2, 12, 12), bool)
    for row in range(n):
        for column in range(row // 12 * 12, row // 12 * 12 + 12):
            is_own = item[row] == item[column] or (exclude and taken[user[row], item[column]])
            expected[row // 12, row % 12, column % 12] = user[column] >= 0 and not (user[row] >= 0 and is_own)
    found = draws.in_batch_candidates(user, item, OWNED, TRAIN.n_items, 12, exclude)
    np.testing.assert_array_equal(found, expected)


def test_a_users_order_depends_on_no_other_user_and_not_on_the_order_of_rows() -> None:
    shuffled = TRAIN.take(np.random.default_rng(0).permutation(len(TRAIN)))
    alone = dataclasses.replace(shuffled.take(shuffled.user == 7))
    (order, place), (order_alone, place_alone) = (draws.order_within_users(rows, 5) for rows in (TRAIN, alone))
    own = TRAIN.user[order] == 7
    np.testing.assert_array_equal(TRAIN.item[order][own], alone.item[order_alone])
    np.testing.assert_array_equal(place[own], place_alone)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(TRAIN)))


def test_each_epoch_visits_every_row_once_in_an_order_of_its_own() -> None:
    first, second = (draws.row_order(100, 0, epoch) for epoch in (0, 1))
    np.testing.assert_array_equal(np.sort(first), np.arange(100))
    assert (first != second).mean() > 0.9
