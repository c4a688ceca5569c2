"""Hit rates by value and figures by item: by hand, against plain loops, and where nothing is defined."""

import numpy as np
import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.hit_rates import MAX_VALUES, hit_rates_by_value
from recsys_pipeline.core.reports.accuracy.item_metrics import item_estimates, item_values
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces
from recsys_pipeline_tests.core.reports.accuracy.test_ranking import TableModel, ratings


def result(seed: int = 0, values: tuple[float, ...] = (1.0, 3.0, 5.0)) -> RankingResult:
    rng = np.random.default_rng(seed)
    rows = [
        (user, int(item), float(rng.choice(values)))
        for user in range(40)
        for item in rng.choice(12, size=rng.integers(1, 5), replace=False)
    ]
    model = TableModel(rng.standard_normal((40, 12)))
    return evaluate_ranking(model, ratings([], 40, 12), ratings(rows, 40, 12), (2, 5), name="als")


def test_hit_rates_by_value_and_above_are_those_of_a_plain_loop() -> None:
    evaluated = result()
    found = hit_rates_by_value(evaluated, 5, seed=1, n_resamples=200)
    pairs = list(zip(evaluated.rows.value.tolist(), (evaluated.rows.places.above < 5).tolist(), strict=True))
    assert [(row.value, row.is_cumulative) for row in found] == [
        (value, above) for above in (False, True) for value in (1.0, 3.0, 5.0)
    ]
    for row in found:
        hits = [hit for value, hit in pairs if (value >= row.value if row.is_cumulative else value == row.value)]
        assert row.n == len(hits)
        assert row.hit_rate == pytest.approx(np.mean(hits))
        assert row.low <= row.hit_rate <= row.high
    assert found[3].hit_rate == pytest.approx((evaluated.rows.places.above < 5).mean())
    assert found[3].n == len(pairs)


def test_many_values_are_cut_at_their_deciles_and_no_row_is_lost() -> None:
    found = hit_rates_by_value(result(values=tuple(np.linspace(0, 10, 37))), 2, seed=0, n_resamples=20)
    single = [row for row in found if not row.is_cumulative]
    assert 2 <= len(single) <= MAX_VALUES
    assert sum(row.n for row in single) == found[len(single)].n == len(result().rows.value)


def test_figures_by_item_weigh_every_item_the_same() -> None:
    item, place = np.array([0, 0, 0, 4], np.int32), np.array([1, 4, 9, 2], np.int32)
    items, values = item_values(item, TiedPlaces.untied(place), (3, 10))
    assert items.tolist() == [0, 4]
    recall_3, recall_10, mrr_3, _, ndcg_3, _ = values.T.tolist()
    assert recall_3 == [pytest.approx(1 / 3), 1.0]
    assert recall_10 == [1.0, 1.0]
    assert mrr_3 == [pytest.approx(1 / 3), 0.5]
    assert ndcg_3 == [pytest.approx(1 / 3), pytest.approx(1 / np.log2(3))]
    evaluated = result()
    rows = {(row.metric, row.k): row for row in item_estimates(evaluated, seed=0, n_resamples=100)}
    per_item = [
        (evaluated.rows.places.above[evaluated.rows.item == item] < 2).mean() for item in np.unique(evaluated.rows.item)
    ]
    assert rows["item_recall", 2].value == pytest.approx(np.mean(per_item))
    assert rows["item_recall", 2].n == len(per_item)
    assert rows["item_recall", 2].low < rows["item_recall", 2].value < rows["item_recall", 2].high


def test_no_rows_and_bad_cut_offs() -> None:
    with pytest.warns(UserWarning, match="no user has a relevant"):
        empty = evaluate_ranking(TableModel(np.ones((2, 3))), ratings([], 2, 3), ratings([], 2, 3), (2,))
    with pytest.warns(UserWarning, match="undefined"):
        [row] = hit_rates_by_value(empty, 2, seed=0)
    assert np.isnan(row.hit_rate)
    assert row.n == 0
    assert item_estimates(empty, seed=0) == []
    with pytest.raises(SettingError, match="k = 6"):
        hit_rates_by_value(result(), 6, seed=0)
