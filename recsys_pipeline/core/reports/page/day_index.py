"""The index page: every day's report in one table, newest first, with the headline figure over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from recsys_pipeline.core.reports.page.page import (
    Block,
    Cell,
    Plot,
    Plots,
    ReportData,
    Section,
    Table,
    Text,
    render_page,
)
from recsys_pipeline.core.reports.page.plots import add_legend, model_styles, new_figure


@dataclass(frozen=True)
class DayEntry:
    """What the index says of one day."""

    day: str
    file: str
    """The day's page, relative to the index."""
    best: str
    """The best model; empty where no ranking was made."""
    metric: str
    """As people write it: NDCG@10."""
    value: float
    low: float
    high: float
    n: int
    drifted: tuple[str, ...] = ()
    """What drifted that day."""


def render_index(dataset: str, entries: Sequence[DayEntry]) -> str:
    """The index as one HTML document; links are relative, so the folder can be moved or served as it is."""
    newest = sorted(entries, key=lambda entry: entry.day, reverse=True)
    blocks: list[Block] = [_table(newest)]
    measured = [entry for entry in reversed(newest) if not math.isnan(entry.value)]
    if len(measured) > 1:
        words = "; ".join(f"{entry.day} {entry.best} {entry.value:.3f}" for entry in measured)
        note = "On a fold of each day's own; band: 95% interval."
        blocks.insert(0, Plots((Plot(f"{measured[-1].metric} of the best model", _curve(measured), words, note),)))
    section = Section("days", "Reports by day", tuple(blocks) if newest else (Text("No report has been made yet."),))
    facts = (("Days", f"{len(newest):,}"), ("Latest", newest[0].day if newest else "none"))
    return render_page(ReportData(dataset, "all days", "", facts, (section,)))


def _table(entries: Sequence[DayEntry]) -> Table:
    rows = []
    for entry in entries:
        figure = Cell("–")
        if not math.isnan(entry.value):
            figure = Cell(f"{entry.value:.3f}", f"{entry.low:.3f}–{entry.high:.3f}")
        drift = Cell(", ".join(entry.drifted) or "none", tone="bad" if entry.drifted else "")
        rows.append((Cell(entry.day, href=entry.file), Cell(entry.best or "–"), figure, Cell(f"{entry.n:,}"), drift))
    metric = next((entry.metric for entry in entries if entry.metric), "figure")
    return Table(("day", "best model", metric, "users", "drift"), tuple(rows), "Mean over users with its 95% interval.")


def _curve(entries: Sequence[DayEntry]) -> Figure:
    figure, axes = new_figure()
    x = list(range(len(entries)))
    low, high = [entry.low for entry in entries], [entry.high for entry in entries]
    axes.fill_between(x, low, high, color=model_styles(["best"])["best"][0], alpha=0.18, lw=0)
    for model, (color, marker) in model_styles([entry.best for entry in entries]).items():
        at = [i for i, entry in enumerate(entries) if entry.best == model]
        axes.plot(at, [entries[i].value for i in at], color=color, marker=marker, label=model, linewidth=2)
    step = max(1, math.ceil(len(entries) / 6))
    axes.set_xticks(x[::step], [entry.day[5:] for entry in entries[::step]])
    axes.set_ylim(bottom=0)
    add_legend(axes)
    return figure
