"""The section of the daily page on shop the look."""

import math
from collections.abc import Sequence

from recsys_pipeline.core.reports.accuracy.leaderboard import (
    difference_table,
    figures_table,
    listed,
    ranked,
    sentence,
    with_interval,
)
from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate
from recsys_pipeline.core.reports.looks.look_report import PRIMARY, GroupFigure
from recsys_pipeline.core.reports.page.page import Block, Cell, Looks, Section, Table, Text
from recsys_pipeline.core.reports.page.pictures import LookExample
from recsys_pipeline.core.reports.page.plots import metric_label

GROUPS = {"seen": "products of train looks", "unseen": "products in no train look"}


def looks_section(
    estimates: Sequence[Estimate],
    examples: Sequence[LookExample],
    protocol: str,
    differences: Sequence[Difference] = (),
    groups: Sequence[GroupFigure] = (),
    book: str = "",
) -> Section:
    """Shop the look: visual retrieval figures, the lead over each baseline, cold products, and scenes with looks.

    `book` is the relative address of the look book, where it stands beside the page.
    """
    note = Text(protocol, (book, "Look book: scenes, looks, and why") if book else None)
    blocks: list[Block] = [note, figures_table(estimates, folded=False)]
    if differences:
        blocks.append(difference_table(differences, *PRIMARY, units="scenes"))
    if groups:
        blocks.append(_group_table(groups))
    if examples:
        blocks.append(Looks(tuple(examples)))
    return Section("looks", "Shop the look", tuple(blocks), _headline(estimates, differences))


def _headline(estimates: Sequence[Estimate], differences: Sequence[Difference]) -> str:
    rows = ranked(estimates, *PRIMARY)
    if not rows:
        return ""
    gaps = [row for row in differences if (row.metric, row.k) == PRIMARY]
    model = gaps[0].model if gaps else rows[0].model
    own = next((row for row in rows if row.model == model), rows[0])
    told = (
        f"{own.model} has a {metric_label(own.metric, own.k)} of {with_interval(own)} "
        f"on {own.n:,} scene-product pairs it had not seen."
    )
    # What corrects the model's own scores is no rival of it.
    rivals = [row for row in gaps if not row.baseline.startswith(f"{model}_")]
    clear = [row.baseline for row in rivals if row.is_clear and row.value > 0]
    others = [row.baseline for row in rivals if row.baseline not in clear]
    beaten = f" That is clearly better than {listed(clear)}." if clear else ""
    close = f" It is not clearly better than {listed(others)}." if others else ""
    return told + beaten + close


def _group_table(groups: Sequence[GroupFigure]) -> Table:
    """Models by rows, seen and unseen products by columns."""
    shown = [row for row in groups if (row.metric, row.k) == PRIMARY]
    found = {(row.model, row.group): row for row in shown}
    rows = tuple(
        (Cell(model), *(_group_cell(found.get((model, group))) for group in GROUPS))
        for model in dict.fromkeys(row.model for row in shown)
    )
    counts = "; ".join(
        f"{GROUPS[group]}: {found[row.model, group].n:,} pairs of {found[row.model, group].n_scenes:,} scenes"
        for row in shown[:1]
        for group in GROUPS
        if (row.model, group) in found
    )
    caption = sentence(f"{metric_label(*PRIMARY)}, by whether the product was trained on; {counts}.")
    return Table((metric_label(*PRIMARY), *GROUPS.values()), rows, caption)


def _group_cell(row: GroupFigure | None) -> Cell:
    if row is None or math.isnan(row.value):
        return Cell("no pairs", tone="muted")
    return Cell(f"{row.value:.3f}", "" if math.isnan(row.low) else f"{row.low:.3f}–{row.high:.3f}")
