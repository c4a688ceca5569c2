"""Plots of the report: each function takes figures and gives a matplotlib `Figure`; `to_svg` and `to_png` write it.

Figures are made with the object API on the Agg canvas, so nothing depends on pyplot's global state and every function
works in a thread. Colours are those of Okabe and Ito ("Color universal design", 2008), which people with any common
colour blindness can tell apart; series differ by marker too. In SVG the colours are CSS variables with these as
defaults, so a page can turn a plot dark.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from recsys_pipeline.core.neighbors.index import Candidate, IndexReport
from recsys_pipeline.core.reports.accuracy.resampling import Estimate

INK, MUTED, GRID = "#1f2a37", "#5f6b7a", "#dfe3e8"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#56b4e9", "#7f5fc4", "#4d4d4d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
_CSS_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid"} | {c: f"series-{i + 1}" for i, c in enumerate(SERIES)}
_WIDTH_IN = 4.9  # 353 pt: at the width of a phone the 10 pt text is still 9 px high


def leaderboard(estimates: Sequence[Estimate], metric: str, k: int) -> Figure:
    """One metric of every model as dots with their intervals, best on top."""
    rows = [row for row in estimates if (row.metric, row.k) == (metric, k) and not math.isnan(row.value)]
    rows.sort(key=lambda row: row.value, reverse=metric in ("rmse", "mae"))
    figure, axes = new_figure(height=0.8 + 0.4 * max(len(rows), 1), grid="x")
    colors = model_styles([row.model for row in estimates])
    for y, row in enumerate(rows):
        color, marker = colors[row.model]
        axes.plot([row.low, row.high], [y, y], color=color, linewidth=5, alpha=0.35, solid_capstyle="round")
        axes.plot(row.value, y, marker=marker, color=color, markersize=8)
        right = row.value if math.isnan(row.high) else max(row.high, row.value)
        axes.annotate(f"{row.value:.3f}", (right, y), (8, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(range(len(rows)), [row.model for row in rows])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=11)
    axes.set_ylim(-0.6, max(len(rows), 1) - 0.4)
    axes.margins(x=0.14)
    if metric not in ("rmse", "mae"):
        axes.set_xlim(left=min(0, axes.get_xlim()[0]) if not rows else 0)
    axes.set_xlabel(metric_label(metric, k))
    return figure


def metric_curve(estimates: Sequence[Estimate], metric: str) -> Figure:
    """One metric of every model over its cut-offs k, with intervals as bands."""
    figure, axes = new_figure()
    for model, (color, marker) in model_styles([row.model for row in estimates]).items():
        rows = sorted((row for row in estimates if (row.model, row.metric) == (model, metric)), key=lambda row: row.k)
        if not rows:
            continue
        ks = [row.k for row in rows]
        axes.plot(ks, [row.value for row in rows], color=color, marker=marker, label=model, linewidth=2)
        axes.fill_between(ks, [row.low for row in rows], [row.high for row in rows], color=color, alpha=0.18, lw=0)
    ks = sorted({row.k for row in estimates if row.metric == metric})
    axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("k: places shown")
    axes.set_ylabel(metric_label(metric, 0))
    add_legend(axes)
    return figure


def recall_against_speed(report: IndexReport) -> Figure:
    """Every measured index setting: recall against queries per second, with the target and the choice marked."""
    figure, axes = new_figure()
    families = list(dict.fromkeys(row.family for row in report.candidates))
    for (family, (color, marker)), rows in zip(
        model_styles(families).items(), _by_family(report.candidates, families), strict=True
    ):
        x, y = [row.recall for row in rows], [row.queries_per_second for row in rows]
        axes.plot(x, y, color=color, marker=marker, label=family.replace("_", " "), linewidth=1.5, markersize=5)
    axes.axvline(report.recall_target, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        f"target {report.recall_target:g} ",
        (report.recall_target, 0.04),
        xycoords=("data", "axes fraction"),
        ha="right",
        color=MUTED,
    )
    chosen = report.chosen
    axes.plot(chosen.recall, chosen.queries_per_second, "o", markersize=15, fillstyle="none", color=INK, label="chosen")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_xlim(right=1.02)
    axes.set_xlabel(f"recall@{report.k} against exact search")
    axes.set_ylabel("queries per second, one thread")
    add_legend(axes)
    return figure


def concentration(shown: Mapping[str, Num[np.ndarray, " items"]]) -> Figure:
    """How few items take how much of the recommendations: a Lorenz curve per model, most shown items first.

    `shown[model][item]` counts how often the item was recommended. The diagonal shows every item equally often.
    """
    figure, axes = new_figure()
    for model, (color, _) in model_styles(list(shown)).items():
        counts = np.sort(shown[model])[::-1].astype(np.float64)
        if not counts.sum():
            continue
        share = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
        at = np.unique(np.linspace(0, len(counts), 201).astype(int))
        axes.plot(100 * at / len(counts), 100 * share[at], color=color, label=model, linewidth=2)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle="--", label="all equal")
    axes.set_xlabel("% of the catalogue, most recommended first")
    axes.set_ylabel("% of all recommendations")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 103)
    add_legend(axes)
    return figure


def loss_curve(
    losses: Mapping[str, Sequence[float]], x_label: str = "epoch", y_label: str = "loss", x: Sequence[int] | None = None
) -> Figure:
    """Training (and validation) loss per step, one line per name; steps are `x`, or counted from 1."""
    figure, axes = new_figure()
    for name, (color, _) in model_styles(list(losses)).items():
        values = losses[name]
        steps = np.arange(1, len(values) + 1) if x is None else x
        axes.plot(steps, values, color=color, label=name, linewidth=2, marker="o" if len(values) < 30 else "", ms=4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(losses) > 1:
        add_legend(axes)
    return figure


def sweep_progress(scores: Sequence[float], metric: str, minimise: bool = False) -> Figure:
    """Every trial of a sweep, from number 0, and the best so far; trials without a score (NaN) are left out."""
    figure, axes = new_figure()
    values = np.asarray(scores, dtype=np.float64)
    trials = np.arange(len(values))
    best = np.fmin.accumulate(values) if minimise else np.fmax.accumulate(values)
    axes.step(trials, best, where="post", color=SERIES[0], linewidth=2, label="best so far")
    axes.plot(trials, values, "o", color=SERIES[1], markersize=5, alpha=0.8, label="trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    add_legend(axes)
    return figure


def histogram(values: Num[np.ndarray, " n"], x_label: str, bins: int = 40) -> Figure:
    """How a number is spread; values that are not finite are left out and counted in the label."""
    figure, axes = new_figure()
    finite = values[np.isfinite(values)]
    axes.hist(finite, bins=bins, color=SERIES[0], alpha=0.85)
    left_out = len(values) - len(finite)
    axes.set_xlabel(f"{x_label} ({left_out:,} not finite)" if left_out else x_label)
    axes.set_ylabel("count")
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    return figure


def to_svg(figure: Figure, name: str) -> str:
    """One inline `<svg>` that scales to its container; `name` keeps its internal ids apart from other plots'.

    The same figure and name give the same text.
    """
    buffer = io.StringIO()
    # rc_context is the only way to these two switches; it is left again at once.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), _text_is_text(figure):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for color, variable in _CSS_VARIABLES.items():
        svg = svg.replace(color, f"var(--{variable}, {color})")
    return svg.strip()


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure on white, for places that show no SVG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    with _text_is_text(figure):
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _text_is_text(figure: Figure) -> Iterator[None]:
    """Names of categories, items and users are no mathematics, whatever dollars they hold.

    Matplotlib would typeset what stands between two dollars, and raise where it cannot. Ticks are made as the figure is
    drawn, so the switch holds until then; a logarithmic axis needs a formatter of its own, since the usual one speaks
    mathematics.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue]  # findobj gives Artists to type checkers
    with mpl.rc_context({"text.parse_math": False}):
        yield


def model_styles(models: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) of each model by its place in the list; a model keeps its style in every plot of that list."""
    names = list(dict.fromkeys(models))
    return {name: (SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}


_LABELS = {
    "ndcg": "NDCG",
    "recall": "recall",
    "precision": "precision",
    "map": "MAP",
    "mrr": "MRR",
    "hit_rate": "hit rate",
    "arhr": "ARHR",
    "graded_ndcg": "graded NDCG",
    "limited_auc": "limited AUC",
    "r_precision": "R-precision",
    "rmse": "RMSE",
    "mae": "MAE",
    "prediction_coverage": "coverage of predictions",
    "item_recall": "recall per item",
    "item_mrr": "MRR per item",
    "item_ndcg": "NDCG per item",
    "auc": "AUC",
    "category_auc": "AUC in category",
    "category_mrr": "MRR in category",
    "category_hit_rate": "hit rate in category",
    "same_category_accuracy": "same-category accuracy",
}


def metric_label(metric: str, k: int) -> str:
    """How people write a metric: `ndcg`, 10 → NDCG@10; k = 0 leaves the cut-off out."""
    label = _LABELS.get(metric, metric.replace("_", " "))
    return f"{label}@{k}" if k else label


def new_figure(height: float = 3.1, grid: str = "both") -> tuple[Figure, Axes]:
    """An empty plot in the style of the report, `height` in inches."""
    figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.grid(True, axis=grid, color=GRID, linewidth=0.8)  # pyright: ignore[reportArgumentType]  # a Literal in stubs
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=10, length=0, pad=6, which="both")
    axes.xaxis.label.set(color=MUTED, size=10)
    axes.yaxis.label.set(color=MUTED, size=10)
    return figure, axes


def add_legend(axes: Axes) -> None:
    """The legend above the plot, in as few rows as fit."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # 6 pt per letter and 34 pt per handle at this size: one row where all fit, else rows of three.
        fits = 6 * sum(map(len, labels)) + 34 * len(labels) < 72 * _WIDTH_IN - 40
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=len(labels) if fits else 3,
            frameon=False,
            labelcolor=INK,
            fontsize=10,
            handlelength=1.4,
            columnspacing=1.2,
            borderaxespad=0.2,
        )


def _by_family(candidates: Sequence[Candidate], families: Sequence[str]) -> list[list[Candidate]]:
    return [[row for row in candidates if row.family == family] for family in families]


def _thousands(value: float, _position: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
