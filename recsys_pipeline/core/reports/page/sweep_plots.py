"""Plots of a sweep in the style of `plots.py`: which parameters matter, and where in their ranges good trials lie."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsys_pipeline.core.learning.sweeps.importance import is_numeric
from recsys_pipeline.core.reports.page.plots import GRID, INK, MUTED, SERIES, new_figure

BEST_SHARE = 0.1
"""The share of the trials that is drawn in colour."""

LOGARITHMIC_FROM = 10
"""Positive numbers that span this factor are drawn on a logarithmic axis."""


def importance_bars(importance: Mapping[str, float], why_unknown: str = "") -> Figure:
    """One bar per parameter, the most important on top; with nothing to show, a sentence that says why."""
    figure, axes = new_figure(height=0.9 + 0.34 * max(len(importance), 1), grid="x")
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], height=0.55, color=SERIES[0])
    for y, name in enumerate(names):
        at = (importance[name], y)
        axes.annotate(f"{importance[name]:.0%}", at, (6, 0), textcoords="offset points", va="center", color=INK)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.margins(x=0.14)
    axes.set_xlim(left=0)
    axes.set_xlabel("importance (PED-ANOVA)")
    if not names:
        _say(axes, why_unknown or "no parameter varies")
    return figure


def parallel_coordinates(
    params: Sequence[Mapping[str, Any]], values: Sequence[float], metric: str, minimise: bool = False
) -> Figure:
    """One line per trial down through its parameters to the metric, whose better end is on the right.

    Parameters are rows and not columns, so that their names and ends stay readable at the width of a phone. The best
    trial and the best tenth differ from the rest by colour, width and marker. Parameters that never vary are left out,
    and so are trials without a value (NaN).
    """
    known = [at for at, value in enumerate(values) if math.isfinite(value)]
    columns = {name: [params[at][name] for at in known] for name in (params[0] if params else {})}
    columns = {name: column for name, column in columns.items() if len(set(map(str, column))) > 1}
    scores = [float(values[at]) for at in known]
    figure, axes = new_figure(height=0.7 + 0.55 * (len(columns) + 1), grid="x")
    axes.grid(False)
    axes.set_axis_off()
    if not known:
        _say(axes, "no trial has a value")
        return figure
    rows = [place(column) for column in columns.values()]
    rows.append(place(scores))
    if minimise:
        rows[-1] = 1 - rows[-1]
    for y, (name, column) in enumerate([*columns.items(), (metric, scores)]):
        low, high = ends(column)
        _draw_row(axes, -y, name, (high, low) if minimise and y == len(columns) else (low, high))
    _draw_trials(axes, np.stack(rows, axis=1), np.argsort(scores if minimise else -np.array(scores), kind="stable"))
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-len(columns) - 0.3, 0.6)
    return figure


def _draw_trials(axes: Axes, places: np.ndarray, best_first: np.ndarray) -> None:
    """Lines from row to row, the best last, on top of the others."""
    heights = -np.arange(places.shape[1])
    n_best = max(1, math.ceil(BEST_SHARE * len(places)))
    for rank in range(len(places) - 1, -1, -1):
        color, width, alpha = (MUTED, 0.8, 0.3) if rank >= n_best else (SERIES[0], 1.6, 0.9)
        if rank == 0:
            color, width, alpha = SERIES[1], 2.6, 1.0
        marker = "o" if rank == 0 else ""
        axes.plot(places[best_first[rank]], heights, color=color, linewidth=width, alpha=alpha, marker=marker, ms=5)


def _draw_row(axes: Axes, y: int, name: str, ends: tuple[str, str]) -> None:
    axes.axhline(y, color=GRID, linewidth=1, zorder=0)
    for text, x, side, color, size in (
        (ends[0], 0, "left", MUTED, 9),
        (ends[1], 1, "right", MUTED, 9),
        (name, 0.5, "center", INK, 10),
    ):
        axes.annotate(
            text, (x, y), (0, 5), textcoords="offset points", ha=side, color=color, fontsize=size, zorder=5,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )  # fmt: skip


def place(column: Sequence[Any]) -> np.ndarray:
    """Where each value stands in its range, 0 to 1; names are spread evenly, in alphabetical order."""
    if not is_numeric(column):
        names = sorted(set(map(str, column)))
        return np.array([names.index(str(value)) for value in column]) / max(len(names) - 1, 1)
    numbers = np.array(column, dtype=np.float64)
    if numbers.min() > 0 and numbers.max() >= LOGARITHMIC_FROM * numbers.min():
        numbers = np.log(numbers)
    spread = numbers.max() - numbers.min()
    return (numbers - numbers.min()) / spread if spread else np.full(len(numbers), 0.5)


def ends(column: Sequence[Any]) -> tuple[str, str]:
    """The least and the largest value, as they are written."""
    ordered = sorted(column) if is_numeric(column) else sorted(map(str, column))
    return written(ordered[0]), written(ordered[-1])


def written(value: Any) -> str:
    """A value as people read it: three digits of a number."""
    return f"{value:.3g}" if is_numeric([value]) else str(value)


def _say(axes: Axes, text: str) -> None:
    axes.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED)
