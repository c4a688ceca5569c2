"""The prequential curve and the price of old models, as a section of the page."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from recsys_pipeline.core.reports.accuracy.day_by_day import DayFigure
from recsys_pipeline.core.reports.page.page import Cell, Plot, Plots, Section, Table, Text
from recsys_pipeline.core.reports.page.plots import add_legend, metric_label, model_styles, new_figure

PROTOCOL = (
    "Each day is predicted by models that learned everything before it and nothing after, and is then learned itself. "
    "Tested is what known users newly chose that day; every item that they had not chosen before competes."
)


def day_by_day_section(figures: Sequence[DayFigure], models: Sequence[str] = ()) -> Section:
    """The curve day by day, and for the last day how figures fall with the age of the model.

    `models` in the order of the leaderboard keep the colours that they have there.
    """
    curve = [row for row in figures if row.age_days == 0]
    last_day = max((row.day for row in figures), default="")
    aged = [row for row in figures if row.day == last_day]
    name = metric_label(figures[0].metric, figures[0].k) if figures else ""
    plots = [
        Plot(
            f"{name} day by day",
            curve_figure(curve, models),
            "; ".join(f"{row.day} {row.model} {row.value:.3f}" for row in curve),
            "Each day by the models of the day before. Band: 95% interval over that day's users.",
        )
    ]
    if any(row.age_days for row in aged):
        plots.append(
            Plot(
                "What an old model costs",
                age_figure(aged, models),
                "; ".join(f"{_age_name(row)} {row.value:.3f}" for row in aged),
                f"Predicting {last_day}. Dashed: the old model with today's histories folded in.",
            )
        )
    return Section(
        "day-by-day",
        "Day by day",
        (Text(PROTOCOL), Plots(tuple(plots)), _table(figures, name)),
        _headline(curve, aged, name),
    )


def curve_figure(curve: Sequence[DayFigure], models: Sequence[str] = ()) -> Figure:
    """One line per model over days, with intervals as bands."""
    figure, axes = new_figure()
    days = sorted({row.day for row in curve})
    for model, color, marker in _styles(curve, models):
        rows = sorted((row for row in curve if row.model == model), key=lambda row: row.day)
        x = [days.index(row.day) for row in rows]
        axes.plot(x, [row.value for row in rows], color=color, marker=marker, label=model, linewidth=2, markersize=5)
        axes.fill_between(x, [row.low for row in rows], [row.high for row in rows], color=color, alpha=0.18, lw=0)
    step = max(1, math.ceil(len(days) / 6))
    axes.set_xticks(range(0, len(days), step), [day[5:] for day in days[::step]])
    axes.set_ylim(bottom=0)
    axes.set_ylabel(metric_label(curve[0].metric, curve[0].k) if curve else "")
    add_legend(axes)
    return figure


def age_figure(aged: Sequence[DayFigure], models: Sequence[str] = ()) -> Figure:
    """One line per model over the age of the model, dashed where today's histories were folded in."""
    figure, axes = new_figure()
    for model, color, marker in _styles(aged, models):
        for is_folded_in in (False, True):
            own = [row for row in aged if row.model == model]
            rows = [row for row in own if row.age_days == 0 or row.is_folded_in == is_folded_in]
            rows.sort(key=lambda row: row.age_days)
            x, values = [row.age_days for row in rows], [row.value for row in rows]
            line = "--" if is_folded_in else "-"
            label = None if is_folded_in else model
            axes.plot(x, values, line, color=color, marker=marker, label=label, linewidth=2, markersize=5)
            if not is_folded_in:
                low, high = [row.low for row in rows], [row.high for row in rows]
                axes.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
    axes.set_xticks(sorted({row.age_days for row in aged}))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("age of the model, days")
    axes.set_ylabel(metric_label(aged[0].metric, aged[0].k) if aged else "")
    add_legend(axes)
    return figure


def _styles(figures: Sequence[DayFigure], models: Sequence[str]) -> list[tuple[str, str, str]]:
    shown = list(dict.fromkeys(row.model for row in figures))
    styles = model_styles([*models, *shown])
    return [(model, *styles[model]) for model in shown]


def _headline(curve: Sequence[DayFigure], aged: Sequence[DayFigure], name: str) -> str:
    defined = [row for row in aged if row.age_days == 0 and not math.isnan(row.value)]
    if not defined:
        return "No known user chose anything new on the last day, so the day cannot be predicted."
    best = max(defined, key=lambda row: row.value)
    days = [row.value for row in curve if row.model == best.model and not math.isnan(row.value)]
    text = (
        f"Predicting the day itself, {best.model} reaches {name} {best.value:.3f} ({best.low:.3f}–{best.high:.3f}, "
        f"{best.n:,} users)"
    )
    text += f"; {min(days):.3f} to {max(days):.3f} over the last {len(days)} days." if len(days) > 1 else "."
    old = [row for row in aged if row.model == best.model and row.age_days and not row.is_folded_in]
    if not (old and best.value):
        return text
    oldest = max(old, key=lambda row: row.age_days)
    text += f" A model {oldest.age_days} days old gives {_change(oldest, best)}"
    same = (best.model, oldest.age_days)
    folded = [row for row in aged if (row.model, row.age_days) == same and row.is_folded_in]
    return text + (f", {_change(folded[0], best)} with today's histories folded in." if folded else ".")


def _change(row: DayFigure, best: DayFigure) -> str:
    return f"{100 * (row.value / best.value - 1):+.0f}%"


def _table(figures: Sequence[DayFigure], name: str) -> Table:
    rows = tuple(
        (
            Cell(f"{row.day} · {_age_name(row)}"),
            Cell("undefined" if math.isnan(row.value) else f"{row.value:.3f}", f"{row.low:.3f}–{row.high:.3f}"),
            Cell(f"{row.n:,}"),
        )
        for row in figures
    )
    return Table(("day and model", name, "users"), rows, "All days and ages with 95% intervals", folded=True)


def _age_name(row: DayFigure) -> str:
    age = f", {row.age_days} days old" if row.age_days else ""
    return f"{row.model}{age}{', users folded in' if row.is_folded_in else ''}"
