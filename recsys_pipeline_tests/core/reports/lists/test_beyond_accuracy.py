"""List metrics beyond accuracy: golden lists by hand, the plain twin on random lists, empty and short lists."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.lists import beyond_accuracy
from recsys_pipeline.core.reports.lists.beyond_accuracy import (
    KL_ALPHA,
    ListFacts,
    diversity,
    list_metric,
    list_qualities,
    list_values,
    miscalibration,
    popularity_rank,
    self_information,
    serendipity,
)

KS = (3, 1, 8)


def random_lists(rng: np.random.Generator, n_users: int, places: int, n_items: int) -> np.ndarray:
    """Lists without repeats, some of them short."""
    top = np.stack([rng.permutation(n_items)[:places] for _ in range(n_users)]).astype(np.int32)
    filled = rng.integers(0, top.shape[1] + 1, n_users)
    return np.where(np.arange(top.shape[1]) < filled[:, None], top, np.int32(-1))


def random_facts(seed: int) -> ListFacts:
    rng = np.random.default_rng(seed)
    n_users, n_items, places = int(rng.integers(1, 6)), int(rng.integers(1, 12)), int(rng.integers(1, 7))
    top = random_lists(rng, n_users, places, n_items)
    vectors, item_mix = rng.normal(size=(n_items, 3)), rng.dirichlet(np.ones(4), n_items)
    vectors[rng.random(n_items) < 0.2] = item_mix[rng.random(n_items) < 0.2] = 0
    history_mix = rng.dirichlet(np.ones(4), n_users) * (rng.random((n_users, 1)) < 0.8)
    history_mix[:, 0] = 0
    return ListFacts(
        top=top,
        popularity=rng.integers(0, 5, n_items),
        n_train_users=9,
        hits=(rng.random(top.shape) < 0.5) & (top >= 0),
        expected=random_lists(rng, n_users, int(rng.integers(1, 7)), n_items),
        vectors=vectors,
        item_mix=item_mix,
        history_mix=history_mix,
    )


def loop_values(facts: ListFacts, user: int, k: int) -> dict[str, float]:
    given: Any = facts
    return list_qualities(
        given.top[user].tolist(),
        k,
        given.popularity.tolist(),
        given.n_train_users,
        given.vectors.tolist(),
        set(given.top[user][given.hits[user]].tolist()),
        [item for item in given.expected[user].tolist() if item >= 0],
        given.item_mix.tolist(),
        given.history_mix[user].tolist(),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_one_pass_equals_the_plain_twin(seed: int) -> None:
    facts = random_facts(seed)
    columns, values = list_values(facts, KS)
    assert [name for name, k in columns if k == 1] == list(beyond_accuracy.LIST_METRICS)
    for user in range(len(facts.top)):
        for column, (name, k) in enumerate(columns):
            expected = loop_values(facts, user, k)[name]
            assert values[user, column] == pytest.approx(expected, abs=1e-9, nan_ok=True), (name, k)


def test_blocks_of_users_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = random_facts(3)
    whole = list_values(facts, KS)[1]
    monkeypatch.setattr(beyond_accuracy, "_BLOCK_CELLS", 1)
    np.testing.assert_allclose(list_values(facts, KS)[1], whole)


def test_diversity_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 5.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    top = np.array([[0, 2, 1], [0, 3, 1], [0, 4, -1]])
    found = diversity(top, vectors, (2, 3))
    np.testing.assert_allclose(found[0], [0.0, 1 - 1 / 3], atol=1e-12)  # alike; then two of three pairs at right angles
    np.testing.assert_allclose(found[1], [2.0, 1 + 1 / 3])  # opposite
    assert np.isnan(found[2]).all()  # one item with a direction has no pair


def test_popular_items_are_no_news_and_rare_ones_carry_bits() -> None:
    popularity, top = np.array([8, 4, 4, 1, 0]), np.array([[0, 1, 3], [4, 3, -1]])
    np.testing.assert_allclose(popularity_rank(top, popularity, (1, 2, 3)), [[1, 1.75, 2.5], [5, 4.5, 4.5]])
    bits = self_information(top, popularity, 8, (1, 3))
    np.testing.assert_allclose(bits, [[0, (0 + 1 + 3) / 3], [3, 3]])  # an item that nobody has counts as one with a row


def test_serendipity_counts_only_hits_that_popularity_would_not_have_shown() -> None:
    top, expected = np.array([[5, 6, 7, 8]]), np.array([[6, 1, 5, 2]])
    hits = np.array([[True, True, False, True]])
    # At 1: item 5 is third for popularity. At 2: item 6 is first there. At 4: only item 8 is not in its four places.
    np.testing.assert_allclose(serendipity(top, hits, expected, (1, 2, 4)), [[1, 1 / 2, 1 / 4]])


def test_a_list_that_mirrors_the_history_is_calibrated_and_a_foreign_one_costs_the_most() -> None:
    mix, history = np.eye(3)[[0, 0, 1, 2]], np.array([[2 / 3, 1 / 3, 0]])
    mirrored = miscalibration(np.array([[0, 1, 2]]), mix, history, (3,))
    foreign = miscalibration(np.array([[3]]), mix, history, (1,))
    assert mirrored == pytest.approx(0)
    assert foreign == pytest.approx(math.log(1 / KL_ALPHA))


def test_metrics_without_their_facts_are_left_out_and_bad_input_is_refused() -> None:
    bare = ListFacts(np.array([[0, 1]]), np.array([3, 1]), 3)
    assert {name for name, _ in list_values(bare, (1, 2))[0]} == {"popularity_rank", "self_information"}
    assert list_values(ListFacts(np.empty((0, 2), int), np.array([3, 1]), 3), (2,))[1].shape == (0, 2)
    with pytest.raises(SettingError, match="distinct cut-offs"):
        list_values(bare, (2, 2))
    with pytest.raises(SettingError, match="two list metrics"):
        list_metric("diversity", ())(diversity)
    with pytest.raises(DataError, match="item 1 is not finite"):
        diversity(np.array([[0, 1]]), np.array([[1.0], [np.nan]]), (2,))
