"""The section of the daily page on items that were new that day."""

import math
from collections.abc import Sequence
from dataclasses import replace

from recsys_pipeline.core.learning.cold_start.cold_start import MapperError
from recsys_pipeline.core.reports.accuracy.leaderboard import difference_table, figures_table, listed, with_interval
from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate
from recsys_pipeline.core.reports.cold_start.new_items import AMONG_NEW, FULL
from recsys_pipeline.core.reports.cold_start.report import PRIMARY, SCOPES, NewItemsFacts, NewItemsReport, PlacedFigure
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Samples, Section, Table, Text, UserSample

EXAMPLES = (
    "New items of the catalogue and what their mapped vectors lie next to: who likes the one should like the other. "
    "These vectors are of the day's models, which know the day, less its test rows."
)
SEEN = ("recall", 100)
"""What the full catalogue is judged by: whether a new item comes near enough to the top to be found at all."""
PROTOCOL = (
    "New is an item without any interaction before the day. Mappers learn from items that have some, on the vectors of "
    "a factorisation fitted anew on what came before the day, and give new items a vector from their photo or "
    "categories as they were at the end of the day. Tested is what users with a history chose of the new items."
)


def new_items_section(report: NewItemsReport, examples: Sequence[UserSample] = ()) -> Section:
    """Ways to place new items side by side: among themselves and in the full catalogue, today and on recent days.

    `examples` are new items with the known ones that they lie next to.
    """
    blocks: list[Block] = [Text(PROTOCOL), Text(_counts(report.facts))]
    recent = {placement: recent_estimates(report, placement) for placement in (AMONG_NEW, FULL)}
    if any(row.n for row in report.figures):
        blocks.append(Plots(tuple(_plot(recent[placement], placement) for placement in (AMONG_NEW, FULL))))
        for placement in (AMONG_NEW, FULL):
            blocks.append(Text(f"{placement.capitalize()}, {_days(report.facts)}:"))
            blocks.append(figures_table(recent[placement], folded=False))
        if leads := _leads(report):
            blocks.append(difference_table(leads, *PRIMARY))
    if report.errors:
        blocks.append(_choice_table(report.errors, report.today.mapper))
    if not report.today.reason and len(report.facts) > 1:
        blocks.append(Text("The day alone, among new items:"))
        blocks.append(figures_table(_estimates(report.figures, SCOPES[0], AMONG_NEW)))
    if examples:
        blocks += [Text(EXAMPLES), Samples(tuple(examples), ("New item", "Nearest known items"))]
    return Section("new-items", "Items new that day", tuple(blocks), _headline(report, recent))


def recent_estimates(report: NewItemsReport, placement: str) -> list[Estimate]:
    """Figures of the recent days together, in one placement."""
    return _estimates(report.figures, SCOPES[1], placement)


def _estimates(figures: Sequence[PlacedFigure], scope: str, placement: str) -> list[Estimate]:
    found = [row for row in figures if (row.scope, row.placement) == (scope, placement)]
    return [replace(row, model=_name(row.model)) for row in found]


def _leads(report: NewItemsReport) -> list[Difference]:
    """The chosen mapper's, among new items, under the names that people read."""
    rows = [row.difference for row in report.differences if row.placement == AMONG_NEW]
    return [replace(row, model=_name(row.model), baseline=_name(row.baseline)) for row in rows]


def _name(model: str) -> str:
    return model.replace("_", " ")


def _plot(estimates: Sequence[Estimate], placement: str) -> Plot:
    metric, k = PRIMARY if placement == AMONG_NEW else SEEN
    rows = [row for row in estimates if (row.metric, row.k) == (metric, k)]
    label = plots.metric_label(metric, k)
    spoken = "; ".join(f"{row.model} {with_interval(row)}" for row in rows if not math.isnan(row.value))
    note = {
        AMONG_NEW: "0.5 is a guess; popularity knows nothing of new items. Bar: 95% interval over users.",
        FULL: "Popularity puts new items last. Bar: 95% interval over users.",
    }[placement]
    return Plot(f"{label} {placement}", plots.leaderboard(rows, metric, k), f"{label}: {spoken}.", note)


def _counts(facts: Sequence[NewItemsFacts]) -> str:
    today = facts[-1]
    if today.reason:
        told = f"{today.day}: {today.reason}, so the day has no figures."
    else:
        told = (
            f"{today.day}: {today.new_items:,} new items ({today.with_image:,} with a photo); {today.users:,} users "
            f"chose {today.chosen_items:,} of them in {today.pairs:,} choices."
        )
    if today.note:
        told += f" No regression was fitted: {today.note}."
    earlier = sum(row.pairs for row in facts[:-1])
    if len(facts) < 2:
        return told
    before = "The report before it adds" if len(facts) == 2 else f"The {len(facts) - 1} reports before it add"
    return f"{told} {before} {earlier:,} choices."


def _days(facts: Sequence[NewItemsFacts]) -> str:
    return f"{facts[0].day} to {facts[-1].day}" if len(facts) > 1 else facts[-1].day


def _choice_table(errors: Sequence[MapperError], chosen: str) -> Table:
    rows = tuple(
        (
            Cell(_name(row.mapper), "chosen" if row.mapper == chosen else ""),
            Cell(f"{row.error:.3f}", f"± {row.standard_error:.3f}" if row.standard_error else ""),
            Cell(f"{row.n:,}"),
        )
        for row in errors
    )
    caption = (
        "How the mapper was chosen: the share of the variance of scores that it leaves unexplained on items held out "
        "of its training (1: no better than the mean of all items; ±: standard error of the distance to the best). The "
        "plainest within one standard error of the best is used."
    )
    return Table(("mapper", "unexplained", "items"), rows, caption)


def _headline(report: NewItemsReport, recent: dict[str, list[Estimate]]) -> str:
    today = report.today
    figures = {(row.model, row.metric, row.k): row for row in recent[AMONG_NEW]}
    own = figures.get((_name(today.mapper), *PRIMARY)) if today.mapper else None
    if own is None or math.isnan(own.value):
        return f"New items of {today.day} cannot be judged: {today.reason or 'no figure is defined'}."
    told = (
        f"Among items that were new on their day ({_days(report.facts)}), vectors from the {_name(today.mapper)} "
        f"mapper have an {plots.metric_label(*PRIMARY)} of {with_interval(own)} over {own.n:,} users."
    )
    rivals = [
        row for row in _leads(report) if (row.metric, row.k) == PRIMARY and row.baseline in ("random", "popularity")
    ]
    clear = [row.baseline for row in rivals if row.is_clear and row.value > 0]
    close = [row.baseline for row in rivals if row.baseline not in clear]
    told += f" That is clearly better than {listed(clear)}." if clear else ""
    return told + (f" It is not clearly better than {listed(close)}." if close else "")
