"""Figures under equal scores are means over all orders: against every permutation, closed forms, and renamed items."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.hit_rates import hit_rates_by_value
from recsys_pipeline.core.reports.accuracy.item_metrics import ROW_METRICS, item_values
from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.metrics import RANKING_METRICS
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import ranking_estimates
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline_tests.core.reports.accuracy.test_ranking import TableModel, ratings

KS = (1, 3, 8)


def orders(scores: list[float]) -> list[tuple[int, ...]]:
    """Every order of the items in which no score rises."""
    best_first = sorted(range(len(scores)), key=lambda item: -scores[item])
    groups = [list(group) for _, group in itertools.groupby(best_first, key=lambda item: scores[item])]
    return [tuple(itertools.chain(*order)) for order in itertools.product(*map(itertools.permutations, groups))]


def mean_over_orders(scores: list[float], relevant: dict[int, float], k: int) -> dict[str, float]:
    """By definition: the figures of each order, averaged."""
    figures = [list_metrics(order, relevant, k) for order in orders(scores)]
    return {name: math.fsum(figure[name] for figure in figures) / len(figures) for name in figures[0]}


@st.composite
def tied_lists(draw: st.DrawFn) -> tuple[list[float], dict[int, float]]:
    """Scores of up to five items in few levels, some of them relevant, with values of either sign."""
    scores = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=5))
    items = draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    return scores, {item: draw(st.sampled_from([-1.0, 1.0, 2.0, 5.0])) for item in items}


@settings(max_examples=50, deadline=None)
@given(tied_lists())
@example(([1.0] * 5, {0: 1.0, 4: 3.0}))  # all equal
@example(([2.0, 1.0, 1.0, 1.0, 0.0], {1: 1.0}))  # a tie across the cut
@example(([2.0, 2.0, 1.0, 1.0, 0.0, 0.0], {0: 1.0, 2: 2.0, 3: 5.0, 5: 1.0}))  # several groups
@example(([1.0, 1.0, 1.0, 0.0], {0: 1.0, 1: 5.0, 2: 2.0}))  # only relevant items tied
@example(([1.0, 1.0], {0: 0.0, 1: 0.0}))  # all relevant, none of any value
def test_closed_forms_of_kernel_and_twin_equal_the_mean_over_all_permutations(
    given_list: tuple[list[float], dict[int, float]],
) -> None:
    scores, relevant = given_list
    result = evaluated(scores, relevant)
    best_first = sorted(range(len(scores)), key=lambda item: -scores[item])
    for k in KS:
        twin = list_metrics(best_first, relevant, k, [scores[item] for item in best_first])
        for name, expected in mean_over_orders(scores, relevant, k).items():
            assert twin[name] == pytest.approx(expected, abs=1e-12, nan_ok=True), (name, k)
            column = (name, k if RANKING_METRICS[name].has_cutoff else 0)
            assert result.mean(*column) == pytest.approx(expected, abs=1e-12, nan_ok=True), (name, k)


def evaluated(scores: list[float], relevant: dict[int, float], given_negatives: bool = False) -> RankingResult:
    """One user; with negatives every other item is given as one."""
    test = ratings([(0, item, value) for item, value in relevant.items()], 1, len(scores))
    others = [(0, item, 1.0) for item in range(len(scores)) if item not in relevant]
    negatives = ratings(others, 1, len(scores)) if given_negatives else None
    return evaluate_ranking(
        TableModel(np.array([scores])), ratings([], 1, len(scores)), test, KS, negatives=negatives, name="m"
    )


def test_given_negatives_are_judged_alike_and_seen_items_are_no_part_of_a_tie() -> None:
    scores, relevant = [1.0, 1.0, 0.0, 1.0, 2.0, 1.0], {0: 1.0, 2: 3.0}
    full, given_ones = evaluated(scores, relevant), evaluated(scores, relevant, given_negatives=True)
    np.testing.assert_array_equal(full.values, given_ones.values)
    np.testing.assert_array_equal(full.coverage, given_ones.coverage)
    np.testing.assert_array_equal(full.top, given_ones.top)
    train = ratings([(0, 3, 1.0), (0, 5, 1.0)], 1, 6)
    test = ratings([(0, 0, 1.0), (0, 2, 3.0)], 1, 6)
    unseen = evaluate_ranking(TableModel(np.array([scores])), train, test, KS)
    assert unseen.rows.places.tied.tolist() == [2, 1]
    expected = mean_over_orders([1.0, 1.0, 0.0, 2.0], {0: 1.0, 2: 3.0}, 3)
    assert unseen.mean("ndcg", 3) == pytest.approx(expected["ndcg"])


def strangers(n_users: int = 100, n_items: int = 200, n_relevant: int = 4) -> tuple[Ratings, Ratings]:
    """Users of whom train knows nothing: their test items are drawn, all others are in train."""
    rng = np.random.default_rng(5)
    rows = [
        (user, int(item), 1.0) for user in range(n_users) for item in rng.choice(n_items, n_relevant, replace=False)
    ]
    known = [(n_users + item % 40, item, 1.0) for item in range(n_items)]
    return ratings(known, n_users + 40, n_items), ratings(rows, n_users + 40, n_items)


def test_all_scores_equal_give_the_figures_of_chance() -> None:
    """A model that knew nothing of its users was shown as the best, with the figures of the lowest item numbers."""
    train, test = strangers()
    result = evaluate_ranking(TableModel(np.zeros((140, 200))), train, test, (10,), name="cooccurrence")
    ideal = sum(1 / math.log2(place + 1) for place in range(1, 5))
    dcg = 4 / 200 * sum(1 / math.log2(place + 1) for place in range(1, 11))
    assert result.mean("ndcg", 10) == pytest.approx(dcg / ideal, abs=1e-12)
    assert round(result.mean("ndcg", 10), 4) == 0.0355
    assert result.mean("recall", 10) == pytest.approx(10 / 200, abs=1e-12)
    assert result.mean("precision", 10) == pytest.approx(4 / 200, abs=1e-12)
    assert result.mean("hit_rate", 10) == pytest.approx(1 - math.comb(196, 10) / math.comb(200, 10), abs=1e-12)
    first = [math.comb(200 - place, 3) / math.comb(200, 4) for place in range(1, 11)]
    mrr = sum(chance / place for place, chance in enumerate(first, start=1))
    assert result.mean("mrr", 10) == pytest.approx(mrr, abs=1e-12)
    assert (result.mean("auc", 0), result.mean("limited_auc", 10)) == pytest.approx((0.5, 0.5), abs=1e-12)
    assert result.n_silent == 100
    assert result.tied_places.tolist() == [1.0]
    assert result.coverage[0] == pytest.approx(1 - (1 - 10 / 200) ** 100, abs=1e-12)
    shares = {(row.metric, row.k): row.value for row in ranking_estimates(result, 0, 20)}
    assert shares["tied_places", 10] == 1.0
    assert shares["silent_users", 0] == 1.0


@pytest.mark.parametrize("with_negatives", [False, True])
def test_no_figure_moves_when_items_are_renamed(with_negatives: bool) -> None:
    rng = np.random.default_rng(3)
    n_users, n_items = 40, 60
    scores = rng.integers(0, 4, (n_users, n_items)).astype(np.float32)
    scores[:5] = 0
    part = rng.choice(4, p=[0.1, 0.1, 0.3, 0.5], size=(n_users, n_items))
    found = []
    for seed in range(6):
        name = np.random.default_rng(seed).permutation(n_items) if seed else np.arange(n_items)
        renamed = np.empty_like(scores)
        renamed[:, name] = scores
        pairs = [np.argwhere(part == kind).tolist() for kind in range(3)]
        rows = [[(user, int(name[item]), 1.0 + item % 3) for user, item in own] for own in pairs]
        train, test, others = (ratings(one, n_users, n_items) for one in rows)
        negatives = others if with_negatives else None
        result = evaluate_ranking(TableModel(renamed), train, test, (3, 10), negatives=negatives, name="m")
        figures = [row.value for row in ranking_estimates(result, 0, 20)]
        figures += [row.hit_rate for row in hit_rates_by_value(result, 10, 0, 20)]
        _, by_item = item_values(result.rows.item, result.rows.places, (3, 10))
        found.append(figures + by_item.mean(axis=0).tolist())
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-12)


def test_what_adds_up_over_rows_is_the_mean_over_the_places_of_the_tie() -> None:
    places = TiedPlaces(np.array([0, 2, 9], np.int32), np.array([1, 4, 3], np.int32))
    assert places.chance_within(4).tolist() == [1.0, 0.5, 0.0]
    gain = ROW_METRICS["item_mrr"]
    assert places.mean_gain(gain, 4) == pytest.approx([1.0, (1 / 3 + 1 / 4) / 4, 0.0])
    assert places.mean_gain(gain, 100)[1] == pytest.approx((1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4)


def test_tied_places_count_a_tie_that_goes_on_below_the_list_and_silent_means_all_candidates() -> None:
    table = np.array([[5, 4, 4, 3, 2], [3, 2, 1, 1, 1], [1, 1, 1, 1, 1], [9, 9, 9, 9, 1]], np.float32)
    test = ratings([(user, 0, 1.0) for user in range(4)], 4, 5)
    result = evaluate_ranking(TableModel(table), ratings([], 4, 5), test, (2, 3))
    assert result.tied_places.tolist() == [(1 / 2 + 0 + 1 + 1) / 4, (2 / 3 + 1 / 3 + 1 + 1) / 4]
    assert result.n_silent == 1
    train = ratings([(3, 4, 1.0)], 4, 5)  # what tells user 3's items apart has been seen
    assert evaluate_ranking(TableModel(table), train, test, (2, 3)).n_silent == 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_coverage_is_the_mean_over_all_orders_of_all_users(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2, (2, 4)).astype(np.float32)
    test = ratings([(user, int(rng.integers(4)), 1.0) for user in range(2)], 2, 4)
    result = evaluate_ranking(TableModel(table), ratings([], 2, 4), test, (1, 3))
    for at, k in enumerate((1, 3)):
        pairs = itertools.product(*(orders(row.tolist()) for row in table))
        shares = [len({item for order in both for item in order[:k]}) / 4 for both in pairs]
        assert result.coverage[at] == pytest.approx(np.mean(shares))


def test_without_ties_the_figures_are_those_of_the_places_to_the_last_bit() -> None:
    """Expectation must not cost a digit: sums over places as they were before ties were judged."""
    rng = np.random.default_rng(1)
    scores = rng.permutation(30 * 80).reshape(30, 80).astype(np.float32)
    test = ratings([(u, int(i), 1.0) for u in range(30) for i in rng.choice(80, 6, replace=False)], 30, 80)
    result = evaluate_ranking(TableModel(scores), ratings([], 30, 80), test, (20,))
    assert (result.rows.places.tied == 1).all()
    hits = np.zeros((30, 20), bool)
    place = result.rows.places.above + 1
    shown = place <= 20
    hits[result.rows.user[shown], place[shown] - 1] = True
    discounts = 1 / np.log2(np.arange(20) + 2.0)
    expected = np.cumsum(hits * discounts, axis=1)[:, -1] / np.cumsum(discounts)[5]
    precision = np.cumsum(hits * np.cumsum(hits, axis=1) / np.arange(1, 21), axis=1)[:, -1] / 6
    first = np.full(30, 10**6)
    np.minimum.at(first, result.rows.user, place)
    for name, values in (("ndcg", expected), ("map", precision), ("mrr", np.where(first <= 20, 1 / first, 0))):
        np.testing.assert_array_equal(result.values[:, result.columns.index((name, 20))], values, err_msg=name)
