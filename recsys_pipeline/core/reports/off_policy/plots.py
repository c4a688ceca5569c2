"""Plots of the off-policy section: estimates against the truth, and the attention that positions get."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from recsys_pipeline.core.reports.off_policy.click_metrics import PositionEffect
from recsys_pipeline.core.reports.off_policy.estimators import PolicyEstimate
from recsys_pipeline.core.reports.page.plots import INK, MUTED, SERIES, add_legend, new_figure

SHOWN = {"naive": "counted", "ips": "IPS", "snips": "SNIPS", "doubly_robust": "doubly robust"}
"""The estimators of the plot and how they are called there."""
MARKS = {
    "naive": ("X", SERIES[1]),
    "ips": ("s", SERIES[5]),
    "snips": ("D", SERIES[3]),
    "doubly_robust": ("o", SERIES[0]),
}


def estimates_against_truth(estimates: Sequence[PolicyEstimate], logged: float) -> Figure:
    """Each policy's estimates as dots with their intervals, and a bar of ink where the truth is known.

    The dashed line is what the log itself earned.
    """
    policies = list(dict.fromkeys(row.policy for row in estimates if row.estimator in SHOWN))
    figure, axes = new_figure(height=1.1 + 0.75 * max(len(policies), 1), grid="x")
    for row in estimates:
        if row.estimator not in SHOWN or math.isnan(row.value):
            continue
        marker, color = MARKS[row.estimator]
        y = len(policies) - 1 - policies.index(row.policy) + 0.27 - 0.18 * list(SHOWN).index(row.estimator)
        label = SHOWN[row.estimator] if row.policy == policies[0] else None
        axes.plot([row.low, row.high], [y, y], color=color, linewidth=3, alpha=0.4, solid_capstyle="round")
        axes.plot(row.value, y, marker=marker, color=color, markersize=6, linestyle="none", label=label)
    truths = {row.policy: row.truth for row in estimates if not math.isnan(row.truth)}
    for number, (policy, truth) in enumerate(truths.items()):
        centre = len(policies) - 1 - policies.index(policy)
        label = None if number else "truth"
        axes.plot([truth, truth], [centre - 0.42, centre + 0.42], color=INK, linewidth=2, label=label)
    axes.axvline(logged, color=MUTED, linestyle="--", linewidth=1, label="as logged")
    axes.set_yticks(range(len(policies)), policies[::-1])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=11)
    axes.set_xlim(left=0)
    axes.set_xlabel("clicks per request, first place")
    add_legend(axes)
    return figure


def attention_by_position(effects: Sequence[PositionEffect]) -> Figure:
    """How much less is looked at further down: estimated with intervals, counted, and true where known."""
    figure, axes = new_figure()
    places = [row.position + 1 for row in effects]
    low, high = [row.low for row in effects], [row.high for row in effects]
    axes.fill_between(places, low, high, color=SERIES[0], alpha=0.18, lw=0)
    axes.plot(places, [row.examination for row in effects], "o-", color=SERIES[0], label="estimated", linewidth=2)
    axes.plot(places, [row.naive for row in effects], "X--", color=SERIES[1], label="counted", linewidth=1.2)
    if any(not math.isnan(row.truth) for row in effects):
        axes.plot(places, [row.truth for row in effects], "_", color=INK, label="truth", markersize=14, mew=2)
    axes.set_ylim(bottom=0)
    axes.set_xticks(places[:: max(1, len(places) // 10)])
    axes.set_xlabel("place in the list")
    axes.set_ylabel("attention, top = 1")
    add_legend(axes)
    return figure
