"""The gap between a full fit and one that goes on from an earlier model, on rows that neither was trained on.

Rows that a model of the chain was trained on do not count, though they are test rows today: where somebody comes back
to an item, the pair moves from train to test, and what went on from yesterday's model still remembers it. Measured on
the demo marketplace after three days: such rows, a sixth of all, had an NDCG@10 .017 to .043 higher in continued
models than in full ones, and would hide any gap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from matplotlib.figure import Figure

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Scorer
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC
from recsys_pipeline.core.reports.accuracy.resampling import Difference, paired_differences
from recsys_pipeline.core.reports.looks.look_report import PRIMARY, paired_over_scenes
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer
from recsys_pipeline.core.reports.looks.looks import pair_figures
from recsys_pipeline.core.reports.page.plots import add_legend, model_styles, new_figure

FULL, CONTINUED = "full", "continued"


@dataclass(frozen=True)
class Gap:
    """Full minus continued, of one model on one day: above 0, going on costs accuracy."""

    day: str
    model: str
    metric: str
    k: int
    full: float
    continued: float
    gap: float
    low: float
    high: float
    """95% interval, over users or scenes."""
    n: int
    """Users or scenes."""
    left_out: int
    """Test rows that an earlier model of the chain was trained on."""
    days: int
    """Since the full fit at the start of the chain."""

    def is_beyond(self, max_gap: float) -> bool:
        """Whether the gap is certainly larger: its whole interval is. An undefined gap is not."""
        return self.low > max_gap


@dataclass(frozen=True)
class Compared:
    """The figures of a `Gap`, without the day and the model that they are of."""

    full: float
    continued: float
    difference: Difference
    left_out: int = 0

    def of(self, day: str, model: str, days: int) -> Gap:
        """The gap of a model on a day, `days` after the full fit at the start of its chain."""
        row = self.difference
        return Gap(
            day, model, row.metric, row.k, self.full, self.continued, row.value, row.low, row.high, row.n,
            self.left_out, days,
        )  # fmt: skip


def compare_rankings(
    full: Scorer,
    continued: Scorer,
    known: Ratings,
    test: Ratings,
    trained_on: Sequence[Ratings],
    seed: int,
    n_resamples: int,
) -> Compared:
    """NDCG@10 of both on the test rows, paired by user; `trained_on` are the train rows of the chain's earlier days."""
    fresh = never_in(test, trained_on)
    rows = test.take(fresh)
    one, other = (
        evaluate_ranking(model, known, rows, [PRIMARY_K], name=name)
        for name, model in ((FULL, full), (CONTINUED, continued))
    )
    difference = _primary(paired_differences(one, other, seed, n_resamples), PRIMARY_METRIC, PRIMARY_K)
    means = [result.mean(PRIMARY_METRIC, PRIMARY_K) for result in (one, other)]
    return Compared(means[0], means[1], difference, int((~fresh).sum()))


def compare_looks(
    full: StlModel, continued: StlModel, data: LookData, folds: LookFolds, seed: int, n_resamples: int
) -> Compared:
    """Same-category accuracy of both on the test pairs, paired by scene. Scenes never change their part."""
    one, other = (
        pair_figures(name, TowerScorer(model, data), data, folds.test, folds.test_negatives)
        for name, model in ((FULL, full), (CONTINUED, continued))
    )
    difference = _primary(paired_over_scenes(one, other, seed, n_resamples), *PRIMARY)
    column = one.columns.index(PRIMARY)
    return Compared(float(np.nanmean(one.values[:, column])), float(np.nanmean(other.values[:, column])), difference)


def never_in(rows: Ratings, others: Sequence[Ratings]) -> Bool[np.ndarray, " rows"]:
    """Which rows are pairs that none of the others has; id spaces may have grown since theirs."""
    known = [_pairs(other, rows.n_items) for other in others]
    return ~np.isin(_pairs(rows, rows.n_items), np.concatenate(known)) if known else np.ones(len(rows), bool)


def gap_figure(gaps: Sequence[Gap], max_gap: float, models: Sequence[str] = ()) -> Figure:
    """The gaps of every model day by day, with their intervals, and the bound; `models` fix the colours."""
    figure, axes = new_figure()
    days, compared = sorted({row.day for row in gaps}), sorted({row.model for row in gaps})
    styles = model_styles([*models, *compared])
    for model in compared:
        color, marker = styles[model]
        rows = [row for row in gaps if row.model == model]
        bars = [[row.gap - row.low for row in rows], [row.high - row.gap for row in rows]]
        x, values = [days.index(row.day) for row in rows], [row.gap for row in rows]
        axes.errorbar(x, values, bars, color=color, marker=marker, label=model, linewidth=1.5, capsize=3)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.axhline(max_gap, color="0.3", linewidth=1, linestyle="--", label="allowed")
    step = max(1, math.ceil(len(days) / 6))
    axes.set_xticks(range(0, len(days), step), [day[5:] for day in days[::step]])
    axes.set_ylabel("full minus continued")
    add_legend(axes)
    return figure


def _primary(differences: Sequence[Difference], metric: str, k: int) -> Difference:
    return next(row for row in differences if (row.metric, row.k) == (metric, k))


def _pairs(ratings: Ratings, n_items: int) -> Int64[np.ndarray, " rows"]:
    return ratings.user.astype(np.int64) * n_items + ratings.item
