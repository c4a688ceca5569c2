"""The section of the daily page on who is served how well."""

import math
from collections.abc import Mapping, Sequence

from recsys_pipeline.core.reports.lists.list_plots import slice_dots
from recsys_pipeline.core.reports.lists.list_report import PLAINEST, SHOWN_K, SLICED
from recsys_pipeline.core.reports.lists.slices import ROW_RECALL, SliceFigure
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table, Text

MIN_USERS = 20
"""Below so many users a slice is shown, but the headline says nothing of it."""
ITEM_SLICES = {"head": "popular items", "torso": "middling items", "tail": "rare items", "new": "new items"}
USER_SLICES = {"cold": "short histories", "warm": "longer histories"}


def slices_section(figures: Sequence[SliceFigure], best: str, k: int = SHOWN_K) -> Section:
    """Results of the best model and of popularity on slices of items and users; all models in plots."""
    on_items = [row for row in figures if (row.unit, row.metric, row.k) == ("items", ROW_RECALL, k)]
    on_users = [row for row in figures if (row.unit, row.metric, row.k) == ("users", *SLICED[0])]
    blocks: list[Block] = [
        Text(
            f"Items: of the things that users went on to choose, the share that the first {k} places held; popular, "
            "middling and rare go by interactions learned from. Users: NDCG@10, by the length of the history that was "
            "learned from. 95% intervals, drawn over users."
        ),
        _slice_table(on_items, ITEM_SLICES, best),
        _slice_table(on_users, USER_SLICES, best),
        Plots(
            (
                _slice_plot(on_items, ITEM_SLICES, "Found by kind of item", f"share found in the first {k}"),
                _slice_plot(on_users, USER_SLICES, "Found by kind of user", "NDCG@10"),
            )
        ),
    ]
    headline = " ".join(
        filter(None, [_gap(on_items, best, "tail", "head", k), _gap(on_users, best, "cold", "warm", SLICED[0][1])])
    )
    return Section("slices", "Who is served how well", tuple(blocks), headline)


def _slice_table(figures: Sequence[SliceFigure], labels: Mapping[str, str], best: str) -> Table:
    shown = [model for model in dict.fromkeys((best, PLAINEST)) if any(row.model == model for row in figures)]
    found = {(row.model, row.slice): row for row in figures}
    rows = []
    for name in labels:
        own = next((row for row in figures if row.slice == name), None)
        if own is not None:
            cells = [_slice_cell(found.get((model, name))) for model in shown]
            rows.append((Cell(labels[name], f"{own.n_rows:,} rows, {own.n_users:,} users"), *cells))
    return Table(("tested on", *shown), tuple(rows))


def _slice_cell(row: SliceFigure | None) -> Cell:
    if row is None:
        return Cell("–")
    if math.isnan(row.value):
        return Cell("no users")
    return Cell(f"{row.value:.3f}", "" if math.isnan(row.low) else f"{row.low:.3f}–{row.high:.3f}")


def _slice_plot(figures: Sequence[SliceFigure], labels: Mapping[str, str], title: str, x_label: str) -> Plot:
    shown = {name: label for name, label in labels.items() if any(row.slice == name for row in figures)}
    parts = (
        f"{row.model} on {shown[row.slice]} {_spoken(row)}"
        for row in figures
        if row.slice in shown and not math.isnan(row.value)
    )
    return Plot(title, slice_dots(figures, shown, x_label), "; ".join(parts) or "No users.", "Bar: 95% interval.")


def _gap(figures: Sequence[SliceFigure], best: str, weak: str, strong: str, k: int) -> str:
    """One sentence on two slices of the best model; empty where either has too few users to say."""
    found = {row.slice: row for row in figures if row.model == best and row.n_users >= MIN_USERS}
    if weak not in found or strong not in found:
        return ""
    low, high = found[weak], found[strong]
    if low.unit == "items":
        return (
            f"Of 100 rare items that users went on to choose, {best} shows {_hundred(low)} in its first {k}; "
            f"of 100 popular ones, {_hundred(high)}."
        )
    figures_in_words = f"NDCG@{k} {_spoken(low)} against {_spoken(high)}"
    return (
        f"Users with short histories ({low.n_users:,}) are served {_verdict(low, high)} those with longer ones "
        f"({high.n_users:,}): {figures_in_words}."
    )


def _verdict(low: SliceFigure, high: SliceFigure) -> str:
    """Users of the two slices are different ones, so intervals that do not overlap are a clear (and strict) sign."""
    if low.low <= high.high and high.low <= low.high:
        return "about as well as"
    return "better than" if low.value > high.value else "worse than"


def _spoken(row: SliceFigure) -> str:
    return f"{row.value:.3f} ({row.low:.3f}–{row.high:.3f})"


def _hundred(row: SliceFigure) -> str:
    return f"{100 * row.value:.0f} ({100 * row.low:.0f}–{100 * row.high:.0f})"
