"""How far figures move with what the data does not tell: which of a user's rows of one instant came last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys_pipeline.core.folds.protocols import EvaluationSplit
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult

Evaluate = Callable[[EvaluationSplit], Sequence[RankingResult]]
"""Fit and judge every model on one cut."""


@dataclass(frozen=True)
class TieSpread:
    """One figure of one model over several orders of the rows that tie in time."""

    model: str
    metric: str
    k: int
    n_orders: int
    mean: float
    deviation: float
    """Standard deviation over the orders (n − 1); NaN where the figure is undefined in one of them."""
    low: float
    high: float


def tie_spread(
    first: Sequence[RankingResult], cut: Callable[[int], EvaluationSplit], evaluate: Evaluate, n_orders: int
) -> tuple[TieSpread, ...]:
    """Cut, fit and judge again for the seeds 1 to `n_orders` − 1, beside `first`, which is of seed 0.

    Costs as many fits of each model; the seed of the fits stays, so that nothing but the ties moves a figure.
    """
    runs = [first, *(evaluate(cut(seed)) for seed in range(1, n_orders))]
    return tuple(_spreads(runs))


def _spreads(runs: Sequence[Sequence[RankingResult]]) -> Iterator[TieSpread]:
    for same_model in zip(*runs, strict=True):
        for metric, k in same_model[0].columns:
            means = np.array([result.mean(metric, k) for result in same_model])
            figures = (float(means.mean()), float(means.std(ddof=1)), float(means.min()), float(means.max()))
            yield TieSpread(same_model[0].model, metric, k, len(runs), *figures)


def print_spread(spreads: Sequence[TieSpread], metrics: dict[str, str], k: int, console: Console) -> None:
    """The spread of the figures that the main table shows, at its first list length."""
    shown = {(row.model, row.metric): row for row in spreads if row.k == k and row.metric in metrics}
    if not shown:
        return
    labels = {metric: label for metric, label in metrics.items() if any(metric == of for _, of in shown)}
    n_orders = next(iter(shown.values())).n_orders
    title = f"Over {n_orders} orders of rows that tie in time: mean ± deviation \\[lowest highest]"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for label in labels.values():
        table.add_column(f"{label}@{k}", justify="right")
    for model in dict.fromkeys(model for model, _ in shown):
        table.add_row(model, *(_cell(shown[model, metric]) for metric in labels))
    console.print()
    console.print(table)


def _cell(row: TieSpread) -> str:
    mean, deviation, low, high = (f"{x:.3f}".removeprefix("0") for x in (row.mean, row.deviation, row.low, row.high))
    return f"{mean} ± {deviation} [dim]\\[{low} {high}][/dim]"
