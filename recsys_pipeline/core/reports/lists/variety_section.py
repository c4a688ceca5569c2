"""The section of the daily page on what lists are like beyond hits: coverage, diversity, novelty, churn."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.lists.list_plots import matthew_curves
from recsys_pipeline.core.reports.lists.list_report import PLAINEST, SHOWN_K
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table

VARIETY = {
    "catalogue_coverage": ("Coverage", "The share of the catalogue that at least one user is shown."),
    "gini": ("Gini index", "How unevenly items are shown: 0 all equally often, 1 one item takes everything."),
    "matthew_effect": (
        "Matthew effect",
        "Above 0, popular items get more of the lists than they had of the interactions, and grow more popular still; "
        "below 0, rare items get more than they had.",
    ),
    "user_coverage": ("Full lists", "The share of users for whom all places are filled."),
    "diversity": ("Diversity", "How different the items of one list are: 0 all alike, 1 nothing in common."),
    "popularity_rank": ("Popularity rank", "The mean rank of shown items by popularity; 1 is the best-known item."),
    "self_information": (
        "Novelty (bits)",
        "How few users have the shown items: 1 bit is half of them, 10 is one in 1,024.",
    ),
    "serendipity": ("Serendipity", "The share of places with a hit that a list of best-sellers would not have held."),
    "miscalibration": (
        "Taste mismatch",
        "How far the categories of a list are from those of its user's history: 0 the same mix, 4.6 none in common.",
    ),
    "popularity_agreement": (
        "Popularity τ",
        "Rank correlation (Kendall) of a list with the best-sellers: 1 the same list, below 0 hardly a common item.",
    ),
    "churn": ("Changed", "Since last time: the share of the items of a user's two lists that is not in both."),
    "rank_churn": (
        "Changed order",
        "As above, but changes on top count for more, and order too (rank-biased overlap).",
    ),
    "responsiveness": (
        "Response",
        "How much of a list changes when its user does one more thing, before any training.",
    ),
}
"""Figures of the variety section in their order: what they are called, and what they mean."""


def variety_section(
    estimates: Sequence[Estimate],
    best: str,
    curves: Mapping[str, Float[np.ndarray, " points"]] | None = None,
    k: int = SHOWN_K,
) -> Section:
    """What lists are like beyond hits: the best model beside popularity, every model in a folded table."""
    rows = [row for row in estimates if row.k == k and row.metric in VARIETY]
    names = [name for name in VARIETY if any(row.metric == name for row in rows)]
    narrow = [name for name in names if name != "popularity_agreement"]  # popularity has none
    models = list(dict.fromkeys(row.model for row in rows))
    pair = [model for model in dict.fromkeys((best, PLAINEST)) if model in models]
    blocks: list[Block] = [_variety_table(rows, narrow, pair, f"Lists of {k}; 95% intervals below, drawn over users.")]
    if curves and len(curves) > 1:
        blocks.append(Plots((_matthew_plot(curves),)))
    blocks.append(_variety_table(rows, names, models, "All models", folded=True))
    meanings = tuple((Cell(VARIETY[name][0]), Cell(VARIETY[name][1])) for name in names)
    blocks.append(Table(("figure", "meaning"), meanings, "What these figures mean", folded=True, textual=True))
    return Section("variety", "Variety", tuple(blocks), _variety_headline(rows, best, k))


def _variety_table(
    rows: Sequence[Estimate], names: Sequence[str], models: Sequence[str], caption: str, folded: bool = False
) -> Table:
    found = {(row.model, row.metric): row for row in rows}
    lines = []
    for name in names:
        n = max(row.n for row in rows if row.metric == name)
        cells = [_variety_cell(found.get((model, name))) for model in models]
        lines.append((Cell(VARIETY[name][0], f"{n:,} users"), *cells))
    return Table(("figure", *models), tuple(lines), caption, folded)


def _variety_cell(row: Estimate | None) -> Cell:
    if row is None:
        return Cell("–")
    if math.isnan(row.value):
        return Cell("undefined")
    # Ranks run to thousands, shares to 1: two or three leading digits of the value, and as many for its interval.
    digits = next((digits for digits, least in enumerate((100, 10, 0.1)) if abs(row.value) >= least), 3)
    value, low, high = (f"{part:,.{digits}f}".replace("-", "−") for part in (row.value, row.low, row.high))
    between = " to " if row.low < 0 else "–"
    return Cell(value, "" if math.isnan(row.low) else f"{low}{between}{high}")


def _variety_headline(rows: Sequence[Estimate], best: str, k: int) -> str:
    own = {row.metric: row for row in rows if row.model == best and not math.isnan(row.value)}
    sentences = []
    if "catalogue_coverage" in own:
        shown = own["catalogue_coverage"]
        sentences.append(f"The lists of {best} show {percent(shown.value)} of the catalogue to {shown.n:,} users.")
    if "matthew_effect" in own:
        more = "more" if own["matthew_effect"].value > 0 else "less"
        sentences.append(
            f"Popular items get {more} of them than of the interactions (Matthew effect "
            f"{own['matthew_effect'].value:+.2f})."
        )
    if "churn" in own:
        row = own["churn"]
        sentences.append(
            f"Since last time {percent(row.value)} (95% interval {percent(row.low)}–{percent(row.high)}) of the "
            f"items in the first {k} changed, for {row.n:,} users with lists on both days."
        )
    return " ".join(sentences)


def _matthew_plot(curves: Mapping[str, np.ndarray]) -> Plot:
    fifth = {name: curve[round(0.2 * (len(curve) - 1))] for name, curve in curves.items()}
    spoken = "; ".join(f"{name or 'interactions'} {percent(share)}" for name, share in fifth.items())
    note = "Above the dashed line, popular items get more of the lists than they had of the interactions."
    return Plot(
        "Do the rich get richer?", matthew_curves(curves), f"The most popular fifth of items takes: {spoken}.", note
    )


def percent(share: float) -> str:
    """As people write a share: whole per cent from 10% on, one decimal below."""
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.1f}%"
