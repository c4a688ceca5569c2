"""The worked examples of docs/metrics.md are what the code computes."""

from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.metrics import RANKING_METRICS
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline_tests.core.reports.accuracy.test_ranking import TableModel, ratings

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
PLAIN_NAMES = {
    "NDCG": "ndcg", "graded NDCG": "graded_ndcg", "recall": "recall", "precision": "precision",
    "MAP": "map", "MRR": "mrr", "limited AUC": "limited_auc",
}  # fmt: skip


def rows_of(header: str) -> dict[str, list[str]]:
    """The table with this first heading: the cells after the first, by the first."""
    table = PAGE.read_text(encoding="utf-8").split(f"| {header} |", 1)[1].split("\n\n", 1)[0]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {first: rest for first, *rest in cells}


def test_the_tied_list_of_the_worked_example() -> None:
    scores, relevant = [9.0, 7.0, 7.0, 7.0, 4.0, 1.0], {1: 4.0, 4: 5.0}
    test = ratings([(0, item, value) for item, value in relevant.items()], 1, 6)
    result = evaluate_ranking(TableModel(np.array([scores])), ratings([], 1, 6), test, (3,))
    orders = [(0, 1, 2, 3, 4, 5), (0, 2, 1, 3, 4, 5), (0, 2, 3, 1, 4, 5)]
    table = rows_of("metric at k = 3")
    assert table.keys() == RANKING_METRICS.keys()
    for metric, written in table.items():
        *of_orders, mean = (float(cell) for cell in written)
        assert of_orders == pytest.approx([list_metrics(order, relevant, 3)[metric] for order in orders], abs=5e-5)
        found = result.mean(metric, 3 if RANKING_METRICS[metric].has_cutoff else 0)
        assert mean == pytest.approx(found, abs=5e-5), metric
    assert result.tied_places.tolist() == [2 / 3]
    assert result.coverage[0] == pytest.approx(1 / 2)


def test_the_list_that_other_tools_judge_too() -> None:
    found = list_metrics(range(8), {1: 4.0, 2: 2.0, 4: 5.0, 5: 1.0}, 3)
    table = PAGE.read_text(encoding="utf-8").split("at k = 3:\n\n", 1)[1]
    lines = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    written = {cells[0].strip(): float(cells[1]) for cells in lines}
    assert written.keys() == PLAIN_NAMES.keys()
    for name, value in written.items():
        assert value == pytest.approx(found[PLAIN_NAMES[name]], abs=5e-5), name
