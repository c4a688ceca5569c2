"""Plots of slices, variety and probabilities, in the style of `plots`."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from recsys_pipeline.core.reports.calibration.reliability import ReliabilityBin
from recsys_pipeline.core.reports.lists.slices import SliceFigure
from recsys_pipeline.core.reports.page.plots import INK, MUTED, SERIES, add_legend, model_styles, new_figure


def slice_dots(figures: Sequence[SliceFigure], labels: Mapping[str, str], x_label: str) -> Figure:
    """One metric of every model on every slice as dots with intervals; `labels` names slices, the first on top.

    Slices without users stay empty.
    """
    models = model_styles([row.model for row in figures])
    figure, axes = new_figure(height=1.0 + len(labels) * (0.28 + 0.13 * len(models)), grid="x")
    places = {name: -at for at, name in enumerate(labels)}
    for order, (model, (color, marker)) in enumerate(models.items()):
        rows = [row for row in figures if row.model == model and row.slice in labels and not math.isnan(row.value)]
        y = [places[row.slice] + 0.36 - 0.72 * (order + 0.5) / len(models) for row in rows]
        axes.hlines(y, [row.low for row in rows], [row.high for row in rows], color=color, alpha=0.4, linewidth=4)
        axes.plot([row.value for row in rows], y, marker, color=color, markersize=6, label=model)
    axes.set_yticks(list(places.values()), list(labels.values()))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-len(labels) + 0.4, 0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(x_label)
    add_legend(axes)
    return figure


def matthew_curves(curves: Mapping[str, Float[np.ndarray, " points"]]) -> Figure:
    """Shares that the most popular items take: of train rows (dashed, the curve named ""), of each model's lists."""
    figure, axes = new_figure()
    for model, (color, _) in model_styles([name for name in curves if name]).items():
        axes.plot(np.linspace(0, 100, len(curves[model])), 100 * curves[model], color=color, label=model, linewidth=2)
    if "" in curves:
        x = np.linspace(0, 100, len(curves[""]))
        axes.plot(x, 100 * curves[""], color=INK, linewidth=1.6, linestyle="--", label="interactions")
    axes.set_xlabel("% of the catalogue, most popular first")
    axes.set_ylabel("% taken")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 103)
    add_legend(axes)
    return figure


def reliability_plot(bins: Sequence[ReliabilityBin]) -> Figure:
    """Promised against observed shares of one model, with Wilson intervals; true probabilities lie on the diagonal."""
    figure, axes = new_figure()
    x, y = (np.array([getattr(row, name) for row in bins]) for name in ("predicted", "observed"))
    low, high = (np.array([getattr(row, name) for row in bins]) for name in ("low", "high"))
    end = 100 * max(x.max(initial=0.0), high.max(initial=0.0), 1e-3)
    axes.plot([0, end], [0, end], color=MUTED, linestyle="--", linewidth=1, label="true probabilities")
    axes.vlines(100 * x, 100 * low, 100 * high, color=SERIES[0], alpha=0.4, linewidth=4)
    axes.plot(100 * x, 100 * y, "o-", color=SERIES[0], markersize=6, linewidth=1.5, label="observed, with 95% interval")
    axes.set_xlim(0, 1.03 * end)
    axes.set_ylim(0, 1.03 * end)
    axes.set_xlabel("% promised")
    axes.set_ylabel("% that were chosen")
    add_legend(axes)
    return figure
