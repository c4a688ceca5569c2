"""The drift section of the page and its plot: which features have left the reference, by how much, in plain words."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from recsys_pipeline.core.reports.monitoring.drift import NOT_COMPARED, Bin, Drift, DriftReport, figures, spoken
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table, Text
from recsys_pipeline.core.reports.page.plots import GRID, INK, MUTED, SERIES

PLOTTED = 4
EXPLAINED = (
    "PSI compares the shares of the bins of two distributions: 0 is equal, and above 0.25 is usually read as a real "
    "change. Small samples differ by chance: the column says how much on average, and a threshold is above what chance "
    "gives. Scores, norms and distances must also have moved by a share of their size, as they lie close together. "
    "n in brackets is what a sample is worth where values come in groups, as the events of one user do."
)


def drift_section(report: DriftReport, day: str) -> Section:
    """What changed against the reference: a headline, the worst features as plots, all features as a table."""
    blocks: list[Block] = [Text(_verdict(report))]
    if worst := _worst(report):
        blocks.append(Plots(tuple(_plot(report, row, day) for row in worst)))
    if report.rows:
        blocks += [Text(EXPLAINED), _table(report.rows)]
    if report.absent:
        listed = "; ".join(f"{spoken(name)} ({why})" for name, why in sorted(report.absent.items()))
        blocks.append(Text(f"Not measured: {listed}."))
    return Section("drift", "Drift", tuple(blocks), drift_headline(report))


def drift_headline(report: DriftReport) -> str:
    """The result in one sentence."""
    breaches = report.breaches
    if not report.reference and not breaches:
        return "Drift is not judged yet: there is no earlier profile to compare with."
    against = f" against {report.reference}" if report.reference else ""
    n, left = len(report.rows) - len(report.not_compared), len(report.not_compared)
    rest = f" {left} figures of the model: {NOT_COMPARED}." if left else ""
    if not breaches:
        return f"No drift{against}: all {n} compared features are within their thresholds.{rest}"
    first = ", ".join(f"{spoken(row.feature)} ({row.change})" for row in breaches[:3])
    more = f" and {len(breaches) - 3} more" if len(breaches) > 3 else ""
    return f"Drift{against} in {len(breaches)} of {n} compared features: {first}{more}.{rest}"


def drift_plot(bins: Sequence[Bin], reference: str, now: str) -> Figure:
    """One feature: the share of each bin in the reference and now, as pairs of bars that differ by more than colour."""
    figure = Figure(figsize=(4.9, 0.9 + 0.42 * max(len(bins), 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    at = np.arange(len(bins))
    axes.barh(at - 0.19, [100 * row.reference for row in bins], 0.36, color=MUTED, alpha=0.55, label=reference)
    axes.barh(at + 0.19, [100 * row.now for row in bins], 0.36, color=SERIES[0], label=now)
    axes.set_yticks(at, [row.label for row in bins])
    axes.invert_yaxis()
    axes.set_xlabel("% of values")
    axes.xaxis.label.set(color=MUTED, size=10)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=10, length=0, pad=6)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        frameon=False,
        labelcolor=INK,
        fontsize=10,
        borderaxespad=0.2,
    )
    return figure


def worst_plot(report: DriftReport, day: str) -> Figure | None:
    """The plot of the feature that is furthest beyond (or else nearest to) its threshold; None where none has bins."""
    worst = _worst(report)
    return drift_plot(_bins(report, worst[0]), report.reference, day) if worst else None


def _worst(report: DriftReport) -> list[Drift]:
    plotted = {row.feature for row in report.bins}
    rows = [row for row in report.rows if row.feature in plotted and row.compared]
    breached = [row for row in rows if row.breached]
    return (breached or rows[:1])[:PLOTTED]


def _bins(report: DriftReport, row: Drift) -> list[Bin]:
    return [found for found in report.bins if found.feature == row.feature]


def _plot(report: DriftReport, row: Drift, day: str) -> Plot:
    bins = _bins(report, row)
    words = "; ".join(f"{found.label}: {100 * found.reference:.1f}% → {100 * found.now:.1f}%" for found in bins)
    title = f"{spoken(row.feature).capitalize()}: {row.change}"
    return Plot(title, drift_plot(bins, report.reference, day), f"Share per bin, then and now: {words}.", figures(row))


def _verdict(report: DriftReport) -> str:
    if not report.reference:
        return (
            "There is no earlier profile, so nothing is compared: this day's profile is stored as the next reference."
        )
    missing = [spoken(row.feature) for row in report.rows if math.isnan(row.value) and row.breached]
    gone = f" Gone since then: {', '.join(missing)}." if missing else ""
    return f"Compared with {report.reference}.{gone}"


def _table(rows: Sequence[Drift]) -> Table:
    columns = ("feature", "change", "PSI", "by chance", "threshold", "KL", "n then", "n now")
    caption = "Worst first. Empty lists are a share with a limit of its own, and not a PSI. KL is in nats."
    return Table(columns, tuple(_row(row) for row in rows), caption, folded=True)


def _row(row: Drift) -> tuple[Cell, ...]:
    note = NOT_COMPARED if not row.compared else "" if row.statistic == "psi" else row.statistic
    return (
        Cell(spoken(row.feature), note),
        Cell(row.change),
        Cell(_number(row.value), tone="bad" if row.breached else ""),
        Cell(_number(row.by_chance)),
        Cell(_number(row.threshold)),
        Cell(_number(row.kl)),
        _size(row.n_reference, row.effective_n_reference),
        _size(row.n, row.effective_n),
    )


def _size(n: int, effective: float) -> Cell:
    return Cell(f"{n:,}", f"({effective:,.0f})" if effective < 0.95 * n else "")


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
