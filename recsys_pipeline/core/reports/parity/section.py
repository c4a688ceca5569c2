"""What going on from day to day costs against full fits, as a section of the page."""

import math
from collections.abc import Sequence

from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table, Text
from recsys_pipeline.core.reports.page.plots import metric_label
from recsys_pipeline.core.reports.parity.gaps import Gap, gap_figure

PROTOCOL = (
    "Most days a model goes on from the one before instead of being fitted anew. On days of a full fit both ways are "
    "compared on test rows that neither was trained on. Above 0, going on costs accuracy."
)


def parity_section(gaps: Sequence[Gap], max_gap: float, models: Sequence[str] = ()) -> Section:
    """The gaps of all days so far with their 95% intervals, in the order of days; the headline tells the newest.

    `models` in the order of the leaderboard keep the colours that they have there.
    """
    blocks: list[Block] = [Text(PROTOCOL)]
    if gaps:
        metrics = {row.model: metric_label(row.metric, row.k) for row in gaps}
        note = (
            f"{'; '.join(f'{model}: {metric}' for model, metric in metrics.items())}. Bars: 95% interval over users "
            f"or scenes. A bar that lies wholly above {max_gap:g} fails the run."
        )
        words = "; ".join(f"{row.day} {row.model} {_figure(row.gap, '+')}" for row in gaps)
        plot = Plot("Full minus continued", gap_figure(gaps, max_gap, models), words, note)
        blocks += [Plots((plot,)), _table(gaps)]
    newest = {row.model: row for row in gaps}
    told = " ".join(_sentence(row, max_gap) for row in newest.values())
    return Section(
        "parity", "Going on against fitting anew", tuple(blocks),
        told or "No day yet on which a full fit could be compared with a continued one.",
    )  # fmt: skip


def _sentence(row: Gap, max_gap: float) -> str:
    start = f"{row.model}, continued for {row.days} days up to {row.day},"
    if math.isnan(row.gap):
        return f"{start} could not be compared: there were no test rows that neither fit had seen."
    verdict = "more than is allowed" if row.is_beyond(max_gap) else "which is allowed"
    return (
        f"{start} is {row.gap:+.4f} ({row.low:+.4f} to {row.high:+.4f}) behind a full fit in "
        f"{metric_label(row.metric, row.k)}, {verdict}."
    )


def _table(gaps: Sequence[Gap]) -> Table:
    rows = tuple(
        (
            Cell(f"{row.day} · {row.model}", metric_label(row.metric, row.k)),
            Cell(_figure(row.full)),
            Cell(_figure(row.continued)),
            Cell(_figure(row.gap, "+"), f"{_figure(row.low, '+')} to {_figure(row.high, '+')}"),
            Cell(f"{row.n:,}", f"{row.left_out:,} rows left out" if row.left_out else ""),
        )
        for row in reversed(gaps)
    )
    return Table(("day and model", "full", "continued", "gap", "users or scenes"), rows, "All days", folded=True)


def _figure(value: float, sign: str = "") -> str:
    return "undefined" if math.isnan(value) else f"{value:{sign}.4f}"
