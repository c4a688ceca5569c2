"""A look never breaks its promises, and its knapsack finds what trying everything finds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.serving.looks import recommend_look, recommend_look_plainly

SCORES = np.array([0.9, 0.8, 0.5, 0.4, 0.3], np.float32)
CATEGORIES = np.array([0, 0, 1, 1, 2])
PRICES = np.array([80.0, 30.0, 50.0, 20.0, 10.0])


@st.composite
def shops(draw: st.DrawFn) -> dict[str, Any]:
    """A small catalogue with equal scores, equal prices, unknown prices and sold-out products."""
    n = draw(st.integers(0, 9))
    column = lambda values: np.array(draw(st.lists(values, min_size=n, max_size=n)))  # noqa: E731 (one line per column)
    return {
        "scores": column(st.integers(-4, 4)).astype(np.float32) / 2,
        "categories": column(st.integers(0, 3)).astype(np.int32),
        "prices": column(st.sampled_from([0.0, 0.29, 0.3, 1.15, 2.0, 7.01, np.nan])).astype(np.float64),
        "available": column(st.booleans()).astype(bool),
        "present": draw(st.sets(st.integers(0, 3), max_size=2)),
        "n_products": draw(st.integers(1, 4)),
    }


@settings(max_examples=200, deadline=None)
@given(shops(), st.none() | st.sampled_from([0.0, 0.3, 0.59, 2.3, 9.0, 100.0]))
def test_a_look_keeps_its_promises(shop: dict[str, Any], budget: float | None) -> None:
    look = recommend_look(**shop, budget=budget)
    categories = shop["categories"][look.products].tolist()
    assert len(look) <= shop["n_products"]
    assert len(set(categories)) == len(categories), "two products of one category"
    assert not set(categories) & shop["present"], "a category that the scene has"
    assert shop["available"][look.products].all(), "a product that is sold out"
    assert (np.diff(look.scores) <= 0).all()
    np.testing.assert_array_equal(look.scores, shop["scores"][look.products])
    if budget is not None:
        assert look.total_price <= budget + 1e-9


@settings(max_examples=200, deadline=None)
@given(shops(), st.sampled_from([0.0, 0.3, 0.59, 1.44, 2.3, 9.0]))
def test_the_knapsack_finds_what_trying_every_choice_finds(shop: dict[str, Any], budget: float) -> None:
    best, _ = recommend_look_plainly(**shop, budget=budget)
    look = recommend_look(**shop, budget=budget)
    candidates = shop["available"] & ~np.isin(shop["categories"], list(shop["present"])) & (shop["prices"] <= budget)
    lowest = shop["scores"][candidates].min() if candidates.any() else 0
    assert float((look.scores - lowest).sum()) == pytest.approx(max(best, 0))


@settings(max_examples=100, deadline=None)
@given(shops(), st.none() | st.sampled_from([0.3, 2.3, 100.0]), st.randoms(use_true_random=False))
def test_equals_go_by_their_key_whatever_their_rows(shop: dict[str, Any], budget: float | None, lots: Any) -> None:
    """Products that stand in other rows, and keep their keys, give the same look."""
    n = len(shop["scores"])
    order, key = np.array(lots.sample(range(n), n), int), np.array(lots.sample(range(99), n), np.uint64)
    moved = shop | {name: shop[name][order] for name in ("scores", "categories", "prices", "available")}
    look, other = (
        recommend_look(**one, budget=budget, tie_key=keys) for one, keys in ((shop, key), (moved, key[order]))
    )
    assert order[other.products].tolist() == look.products.tolist()


@settings(max_examples=100, deadline=None)
@given(shops())
def test_a_budget_that_buys_everything_changes_nothing(shop: dict[str, Any]) -> None:
    shop["prices"] = np.nan_to_num(shop["prices"])
    free, rich = recommend_look(**shop), recommend_look(**shop, budget=1000.0)
    assert free.scores.tolist() == rich.scores.tolist()


def test_hard_rank_is_the_best_of_each_category_then_the_best_of_these() -> None:
    assert recommend_look(SCORES, CATEGORIES).products.tolist() == [0, 2, 4]
    assert recommend_look(SCORES, CATEGORIES, n_products=2).products.tolist() == [0, 2]
    assert recommend_look(SCORES, CATEGORIES, present=[0]).products.tolist() == [2, 4]


def test_a_look_within_a_budget_by_hand() -> None:
    # 100 buys 80 + 20 (gains .6 + .1) or 30 + 50 + 10 (.5 + .25 + 0).
    scores = SCORES + np.array([0, 0, 0.05, 0, 0], np.float32)
    assert recommend_look(scores, CATEGORIES, PRICES, budget=100.0).products.tolist() == [1, 2, 4]
    assert recommend_look(scores, CATEGORIES, PRICES, budget=60.0).products.tolist() == [1, 3, 4]
    assert recommend_look(scores, CATEGORIES, PRICES, budget=9.0).products.tolist() == []


def test_sold_out_and_unpriced_products() -> None:
    on_sale = np.array([False, True, True, True, True])
    assert recommend_look(SCORES, CATEGORIES, available=on_sale).products.tolist() == [1, 2, 4]
    prices = np.array([np.nan, 30, 50, 20, 10])
    assert np.isnan(recommend_look(SCORES, CATEGORIES, prices).total_price)
    within = recommend_look(SCORES, CATEGORIES, prices, budget=1000.0)
    assert within.products.tolist() == [1, 2, 4]
    assert within.total_price == 90


def test_equal_scores_go_to_the_lower_price_then_the_lower_row() -> None:
    scores, categories = np.zeros(4, np.float32), np.zeros(4, np.int32)
    assert recommend_look(scores, categories, np.array([3.0, np.nan, 2, 2])).products.tolist() == [2]
    assert recommend_look(scores, categories, np.array([3.0, np.nan, 2, 2]), budget=9.0).products.tolist() == [2]
    assert recommend_look(scores, categories).products.tolist() == [0]


def test_prices_that_binary_fractions_miss_still_fit() -> None:
    # .1 + .2 is above .3 in binary.
    look = recommend_look(np.ones(2, np.float32), np.arange(2), np.array([0.1, 0.2]), budget=0.3)
    assert look.products.tolist() == [1, 0] or look.products.tolist() == [0, 1]


def test_a_large_catalogue_is_quick() -> None:
    """20,000 products of 30 categories: dominated choices must fall away as they arise."""
    rng = np.random.default_rng(0)
    scores, categories = rng.normal(size=20_000).astype(np.float32), rng.integers(0, 30, 20_000)
    look = recommend_look(scores, categories, rng.lognormal(4, 1, 20_000).round(2), budget=300.0)
    assert len(look) == 5
    assert look.total_price <= 300


def test_what_cannot_be_judged_says_so() -> None:
    with pytest.raises(ModelError, match="row 1 is nan"):
        recommend_look(np.array([0, np.nan], np.float32), np.zeros(2, np.int32))
    with pytest.raises(DataError, match=r"row 2 is -1\.0"):
        recommend_look(np.zeros(3, np.float32), np.zeros(3, np.int32), np.array([1.0, np.nan, -1.0]))
    for budget in (-1.0, float("inf"), float("nan")):
        with pytest.raises(SettingError, match="budget"):
            recommend_look(SCORES, CATEGORIES, PRICES, budget=budget)
    with pytest.raises(SettingError, match="needs prices"):
        recommend_look(SCORES, CATEGORIES, budget=3.0)
    with pytest.raises(SettingError, match="n_products = 0"):
        recommend_look(SCORES, CATEGORIES, n_products=0)
