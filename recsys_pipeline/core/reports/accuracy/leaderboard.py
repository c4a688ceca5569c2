"""The leaderboard of the report: its section, table, headline in plain words, and the same as Markdown."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Num

from recsys_pipeline.core.reports.accuracy.hit_rates import ValueHitRate
from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate, silent_models
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table, Text
from recsys_pipeline.core.reports.page.plots import metric_label

LOWER_IS_BETTER = frozenset({"rmse", "mae", "hubness", "silent_users"})
NARROW = ("recall", "hit_rate")
"""What a narrow table shows beside the figure that orders it."""
VALUE_METRICS = frozenset({"rmse", "mae", "prediction_coverage"})
"""Their n are test rows, not users."""
SHOWN = ("ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage", "rmse")
"""Metrics of the leaderboard; all others are in the folded table of all figures."""
NEITHER_IS_BETTER = frozenset({"coverage", "tied_places", "prediction_coverage"})
"""Random lists cover everything, and tie nothing: more or less of it is no merit by itself."""


def ranking_section(
    estimates: Sequence[Estimate],
    differences: Sequence[Difference],
    protocol: str,
    shown: Mapping[str, Num[np.ndarray, " items"]] | None = None,
    metric: str = "ndcg",
    k: int = 10,
    by_value: Sequence[ValueHitRate] = (),
) -> Section:
    """The leaderboard: who ranks best, by how much, with what certainty.

    `differences` are those of the best model against the others; `protocol` says in a sentence how folds were cut;
    `shown[model][item]` counts recommendations. `metric` and `k` choose the figure that orders the models. `by_value`
    says how often what people valued at each value was found.
    """
    pictures = [
        Plot(
            f"{metric_label(metric, k)} by model",
            plots.leaderboard(estimates, metric, k),
            _spoken(estimates, metric, k),
            "Dot: mean over users. Bar: 95% interval.",
        ),
        Plot(
            "More places, more found",
            plots.metric_curve(estimates, "recall"),
            "Recall of each model at each list length, with 95% intervals; the table below holds the figures.",
            "Recall at each list length; band: 95% interval.",
        ),
    ]
    if shown:
        pictures.append(
            Plot(
                "How concentrated the recommendations are",
                plots.concentration(shown),
                "Share of recommendations that the most recommended items take, per model.",
                "Near the dashed line every item gets its turn; near the upper left a few items take all.",
            )
        )
    if sum(row.metric == "rmse" for row in estimates) > 1:
        pictures.append(
            Plot("Error of predicted values", plots.leaderboard(estimates, "rmse", 0), _spoken(estimates, "rmse", 0))
        )
    board = leaderboard_table([row for row in estimates if row.metric in SHOWN], metric, k, differences)
    blocks: list[Block] = [Text(protocol), board, Plots(tuple(pictures))]
    if differences:
        blocks.append(difference_table(differences, metric, k))
    blocks.append(figures_table(estimates))
    if len({row.value for row in by_value}) > 1:
        blocks.append(value_table(by_value))
    return Section("leaderboard", "Leaderboard", tuple(blocks), ranking_headline(estimates, differences, metric, k))


def ranking_headline(
    estimates: Sequence[Estimate], differences: Sequence[Difference], metric: str = "ndcg", k: int = 10
) -> str:
    """The result in plain words: the best model, its figure, whether it clearly beats the others, what users get."""
    rows = ranked(estimates, metric, k)
    if not rows:
        return "No user could be evaluated, so there is no ranking of models."
    best = rows[0]
    sentences = [f"{best.model} ranks best: {metric_label(metric, k)} {with_interval(best)} over {best.n:,} users."]
    equal = [row.model for row in rows if row.value == best.value]
    if best.model in silent_models(estimates):
        sentences = [
            f"No model ranks best: {listed(equal)} at the top gives all items the same score, for every user; its "
            f"{metric_label(metric, k)} of {with_interval(best)} is that of a random order."
        ]
    elif len(equal) > 1:
        sentences.append(f"{sentence(listed(equal[1:]))} has the same figure.")
    gaps = [row for row in differences if (row.model, row.metric, row.k) == (best.model, metric, k)]
    if gaps:
        clear = [row.baseline for row in gaps if row.is_clear]
        close = [row.baseline for row in gaps if not row.is_clear]
        if clear:
            sentences.append(f"That is clearly better than {listed(clear)}.")
        if close:
            sentences.append(f"The lead over {listed(close)} is within chance.")
    hit = next((row for row in estimates if (row.model, row.metric, row.k) == (best.model, "hit_rate", k)), None)
    if hit is not None:
        sentences.append(
            f"In its top {k}, {_of_hundred(hit.value)} of 100 users would have found something they went on to choose "
            f"(95% interval {_of_hundred(hit.low)}–{_of_hundred(hit.high)})."
        )
    return " ".join(sentences)


def headline_markdown(
    estimates: Sequence[Estimate], differences: Sequence[Difference] = (), metric: str = "ndcg", k: int = 10
) -> str:
    """The headline and a short leaderboard as Markdown, for asset metadata, where only a narrow table shows whole."""
    narrow = [row for row in estimates if row.metric in {metric, *NARROW}]
    table = leaderboard_table(narrow, metric, k, differences)
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.rows:
        texts = (f"{cell.text} {cell.detail}".strip().replace("|", "\\|") for cell in row)
        lines.append("| " + " | ".join(texts) + " |")
    return ranking_headline(estimates, differences, metric, k) + "\n\n" + "\n".join(lines)


def leaderboard_table(
    estimates: Sequence[Estimate], metric: str = "ndcg", k: int = 10, differences: Sequence[Difference] = ()
) -> Table:
    """Models by rows, best first; every metric at k with its interval, and n.

    With `differences` of the best model against the others there is a column of distances to the best, grey where
    they are not significant.
    """
    order = [row.model for row in ranked(estimates, metric, k)]
    order += [model for model in dict.fromkeys(row.model for row in estimates) if model not in order]
    names = [(row.metric, row.k) for row in estimates if row.k in (k, 0)]
    columns = sorted(dict.fromkeys(names), key=lambda name: name != (metric, k))
    figures = {(row.model, row.metric, row.k): row for row in estimates}
    gaps = {row.baseline: row for row in differences if (row.metric, row.k) == (metric, k)}
    rows = []
    for model in order:
        cells = [_figure_cell(figures.get((model, *column)), _best(estimates, *column)) for column in columns]
        distance = [_distance_cell(gaps.get(model))] if gaps else []
        n = next((row.n for row in estimates if row.model == model and row.metric not in VALUE_METRICS), 0)
        rows.append((Cell(model), *cells[:1], *distance, *cells[1:], Cell(f"{n:,}")))
    titles = [sentence(metric_label(*column)) for column in columns]
    behind = ["behind the best"] if gaps else []
    caption = "Mean over users, with 95% bootstrap intervals below; the best in bold."
    if gaps:
        caption += " Grey: a distance that is within chance (paired randomisation test, 5% over all comparisons)."
    return Table(("model", *titles[:1], *behind, *titles[1:], "users"), tuple(rows), caption)


def _distance_cell(gap: Difference | None) -> Cell:
    if gap is None:
        return Cell("–")
    return Cell(f"{-gap.value:+.3f}", f"p {_p_value(gap.p_value)}", "" if gap.is_clear else "muted")


def figures_table(estimates: Sequence[Estimate], folded: bool = True) -> Table:
    """Every figure by rows, models by columns, with intervals and n."""
    models = list(dict.fromkeys(row.model for row in estimates))
    figures = {(row.model, row.metric, row.k): row for row in estimates}
    names = list(dict.fromkeys((row.metric, row.k) for row in estimates))
    rows = []
    for name in names:
        cells = [_figure_cell(figures.get((model, *name)), _best(estimates, *name)) for model in models]
        n = max(row.n for row in estimates if (row.metric, row.k) == name)
        rows.append((Cell(sentence(metric_label(*name))), *cells, Cell(f"{n:,}")))
    return Table(("figure", *models, "n"), tuple(rows), "All figures with 95% intervals", folded=folded)


def value_table(by_value: Sequence[ValueHitRate]) -> Table:
    """Of the relevant rows of each value, and of each value or more, the share that was found; models by columns."""
    models = list(dict.fromkeys(row.model for row in by_value))
    figures = {(row.is_cumulative, row.value, row.model): row for row in by_value}
    rows = []
    for is_cumulative, value in dict.fromkeys((row.is_cumulative, row.value) for row in by_value):
        found = [figures.get((is_cumulative, value, model)) for model in models]
        cells = [_share_cell(row) for row in found]
        n = max(row.n for row in found if row is not None)
        rows.append((Cell(f"{value:g} or more" if is_cumulative else f"{value:g}"), *cells, Cell(f"{n:,}")))
    title = f"Found in the first {by_value[0].k} places, by the value that people gave"
    return Table(("value", *models, "rows"), tuple(rows), title, folded=True)


def _share_cell(row: ValueHitRate | None) -> Cell:
    if row is None or math.isnan(row.hit_rate):
        return Cell("–")
    return Cell(f"{row.hit_rate:.3f}", f"{row.low:.3f}–{row.high:.3f}")


def _figure_cell(row: Estimate | None, best: float) -> Cell:
    if row is None:
        return Cell("–")
    if math.isnan(row.value):
        return Cell("undefined")
    interval = "" if math.isnan(row.low) else f"{row.low:.3f}–{row.high:.3f}"
    return Cell(f"{row.value:.3f}", interval, "best" if row.value == best else "")


def _best(estimates: Sequence[Estimate], metric: str, k: int) -> float:
    values = [r.value for r in estimates if (r.metric, r.k) == (metric, k) and not math.isnan(r.value)]
    if len(values) < 2 or metric in NEITHER_IS_BETTER:
        return math.nan
    return min(values) if metric in LOWER_IS_BETTER else max(values)


def ranked(estimates: Sequence[Estimate], metric: str, k: int) -> list[Estimate]:
    """The estimates of one metric, best first; undefined ones left out."""
    rows = [row for row in estimates if (row.metric, row.k) == (metric, k) and not math.isnan(row.value)]
    return sorted(rows, key=lambda row: row.value, reverse=metric not in LOWER_IS_BETTER)


def with_interval(row: Estimate) -> str:
    """A figure with its interval in words, where it has one."""
    if math.isnan(row.low):
        return f"{row.value:.3f}"
    return f"{row.value:.3f} (95% interval {row.low:.3f}–{row.high:.3f})"


def difference_table(differences: Sequence[Difference], metric: str, k: int, units: str = "users") -> Table:
    """The lead of one model over others: with its interval, the verdict, and how small a lead could be seen."""
    shown = [row for row in differences if (row.metric, row.k) == (metric, k)]
    rows = tuple(
        (
            Cell(f"{row.model} − {row.baseline}"),
            Cell(f"{row.value:+.4f}", f"{row.low:+.4f} to {row.high:+.4f}", "" if row.is_clear else "muted"),
            Cell("clear" if row.is_clear else "within chance", f"p {_p_value(row.p_value)}",
                 "good" if row.is_clear else "muted"),
            Cell(f"{row.detectable:.4f}"),
            Cell(f"{row.n:,}"),
        )
        for row in shown
    )  # fmt: skip
    caption = (
        f"Paired over the same {units}, with 95% intervals. Clear: p below .05 in a paired randomisation test, "
        f"adjusted for all {len(shown)} comparisons (Holm). Detectable: the smallest true difference that a test on as "
        f"many {units} finds 80 times in 100; a smaller one may be missed."
    )
    columns = ("comparison", f"difference in {metric_label(metric, k)}", "verdict", "detectable", units)
    return Table(columns, rows, caption)


def _p_value(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}".lstrip("0") if value < 1 else "1"


def _spoken(estimates: Sequence[Estimate], metric: str, k: int) -> str:
    figures = (f"{row.model} {with_interval(row)}" for row in ranked(estimates, metric, k))
    return f"{sentence(metric_label(metric, k))} by model, best first: {'; '.join(figures)}."


def _of_hundred(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.1 else f"{100 * value:.1f}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]
