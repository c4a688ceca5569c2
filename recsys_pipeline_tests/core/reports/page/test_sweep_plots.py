"""Plots of a sweep: what is drawn where, and that it fits where it goes."""

import math
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from recsys_pipeline.core.reports.page import plots, sweep_plots

ROWS: list[dict[str, Any]] = [
    {"reg": 0.001, "bias": True, "size": 8, "epochs": 5},
    {"reg": 0.01, "bias": False, "size": 16, "epochs": 5},
    {"reg": 0.1, "bias": True, "size": 12, "epochs": 5},
]


def lines(figure: Figure) -> list[tuple[str, list[float]]]:
    """Colour and places of each trial's line, in drawing order."""
    drawn = [line for line in figure.axes[0].lines if len(np.asarray(line.get_xdata())) == 4]
    return [(str(to_hex(line.get_color())), np.asarray(line.get_xdata()).tolist()) for line in drawn]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_lines_run_through_the_places_of_the_values() -> None:
    figure = sweep_plots.parallel_coordinates(ROWS, [0.1, 0.3, 0.2], "ndcg@10")
    found = [places for _, places in lines(figure)]
    expected = [[0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.5, 0.5], [0.5, 0.0, 1.0, 1.0]]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert lines(figure)[-1][0] == plots.SERIES[1], "the best trial is drawn last, in a colour of its own"
    assert {"reg", "0.001", "0.1", "bias", "False", "True", "size", "ndcg@10"} <= set(texts(figure))
    assert "epochs" not in texts(figure), "it never varies"


def test_the_better_end_of_the_metric_is_on_the_right() -> None:
    figure = sweep_plots.parallel_coordinates(ROWS, [0.9, 1.1, math.nan], "rmse", minimise=True)
    assert [places[-1] for _, places in lines(figure)] == [0.0, 1.0]
    assert texts(figure)[-3:] == ["1.1", "0.9", "rmse"]


def test_importance_has_the_largest_on_top() -> None:
    figure = sweep_plots.importance_bars({"reg": 0.75, "size": 0.25})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["size", "reg"]
    assert {"75%", "25%"} <= set(texts(figure))


def test_nothing_to_show_is_said() -> None:
    assert texts(sweep_plots.importance_bars({}, "too few trials")) == ["too few trials"]
    assert texts(sweep_plots.parallel_coordinates(ROWS, [math.nan] * 3, "rmse")) == ["no trial has a value"]
    assert texts(sweep_plots.parallel_coordinates([], [], "rmse")) == ["no trial has a value"]
    plots.to_png(sweep_plots.parallel_coordinates(ROWS[:1], [0.5], "ndcg@10"))


def test_plots_fit_metadata_and_a_phone() -> None:
    generator = np.random.default_rng(0)
    rows = [{f"parameter_{i}": float(generator.random()) for i in range(8)} for _ in range(100)]
    for figure in (
        sweep_plots.parallel_coordinates(rows, generator.random(100).tolist(), "rmse"),
        sweep_plots.importance_bars({f"parameter_{i}": 1 / 8 for i in range(8)}),
    ):
        assert len(plots.to_png(figure)) < 400_000
        assert figure.get_size_inches()[0] <= 5
        assert min(float(text.get_fontsize()) for text in figure.axes[0].texts) >= 9
