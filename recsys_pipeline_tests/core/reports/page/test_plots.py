"""Plots and pictures: what they show, that they repeat to the byte, and that they fit where they go."""

import html
import io
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from recsys_pipeline.core.neighbors.index import IndexReport
from recsys_pipeline.core.neighbors.tuning import Candidate
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.page.pictures import (
    LookExample,
    LookMatch,
    data_uri,
    encode_image,
    image_grid,
    look_grid,
    png_markdown,
)

ESTIMATES = [
    Estimate(model, metric, k, value, value * 0.9, value * 1.1, 100)
    for model, value in (("popularity", 0.1), ("als & <co>", 0.2), ("random", 0.01))
    for metric in ("ndcg", "recall")
    for k in (10, 20)
]
CHOSEN = Candidate("ivf", "nprobe", 4, 0.97, 0.96, 300.0, 20_000.0)
INDEX = IndexReport(
    chosen=CHOSEN,
    candidates=(Candidate("flat", "", 0, 1.0, 1.0, 1000.0, 2_000.0), CHOSEN),
    recall=0.968,
    queries_per_second=21_000.0,
    recall_target=0.95,
    k=10,
    n_vectors=1000,
    dim=8,
    n_queries=100,
    size_bytes=10_000,
)


def every_plot() -> dict[str, Figure]:
    return {
        "leaderboard": plots.leaderboard(ESTIMATES, "ndcg", 10),
        "curve": plots.metric_curve(ESTIMATES, "recall"),
        "index": plots.recall_against_speed(INDEX),
        "concentration": plots.concentration({"als": np.arange(50), "none": np.zeros(50)}),
        "loss": plots.loss_curve({"train": [3.0, 2.0], "validation": [3.1, 2.4]}),
        "sweep": plots.sweep_progress([0.1, math.nan, 0.3, 0.2], "NDCG@10"),
        "histogram": plots.histogram(np.array([1.0, 2.0, np.nan, 2.0]), "score"),
    }


@pytest.mark.parametrize("name", list(every_plot()))
def test_svg_parses_scales_and_repeats(name: str) -> None:
    svg = plots.to_svg(every_plot()[name], name)
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert plots.to_svg(every_plot()[name], name) == svg
    assert "<style" not in svg
    assert all(f"(#{target})" in svg or f'"#{target}"' in svg for target in re.findall(r'id="([^"]+)"', svg))


def test_png_is_small_enough_for_metadata() -> None:
    for name, figure in every_plot().items():
        png = plots.to_png(figure)
        assert png.startswith(b"\x89PNG"), name
        assert len(png) < 100_000, name


def test_leaderboard_orders_models_best_on_top_and_survives_nothing() -> None:
    axes = plots.leaderboard(ESTIMATES, "ndcg", 10).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["random", "popularity", "als & <co>"]
    errors = [Estimate("bad", "rmse", 0, 2.0, 1.9, 2.1, 9), Estimate("good", "rmse", 0, 1.0, 0.9, 1.1, 9)]
    axes = plots.leaderboard(errors, "rmse", 0).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bad", "good"]
    plots.to_png(plots.leaderboard([], "ndcg", 10))


def test_best_so_far_only_rises_or_only_falls() -> None:
    for minimise, expected in ((False, [0.2, 0.2, 0.3, 0.3]), (True, [0.2, 0.2, 0.2, 0.1])):
        figure = plots.sweep_progress([0.2, math.nan, 0.3, 0.1], "m", minimise)
        assert np.asarray(figure.axes[0].lines[0].get_ydata()).tolist() == expected


def test_a_model_keeps_its_style_whatever_is_plotted() -> None:
    styles = plots.model_styles(["a", "b", "a", "c"])
    assert list(styles) == ["a", "b", "c"]
    assert len(set(styles.values())) == 3


def test_pictures_shrink_and_read_back() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    picture = Image.open(io.BytesIO(encode_image(noise, max_side=100)))
    assert picture.size == (100, 75)
    flat = encode_image(np.zeros((50, 50, 3), np.uint8))
    assert data_uri(flat).startswith("data:image/png;base64,")
    assert data_uri(encode_image(noise)).startswith("data:image/jpeg;base64,")
    assert png_markdown(flat, "flat").startswith("![flat](data:image/png;base64,")


def test_look_grid_stays_under_the_metadata_limit() -> None:
    rng = np.random.default_rng(0)

    def picture() -> np.ndarray:
        return np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)

    matches = tuple(LookMatch(f"p{i}", picture(), 0.9 - i / 10, i == 1) for i in range(5))
    examples = [LookExample("s", picture(), (0.1, 0.2, 0.5, 0.9), "p1", picture(), matches[: 5 - i]) for i in range(5)]
    assert len(look_grid(examples)) < 200_000


NAMES = ["a_b^c", "$a_b$", "$\\frac{$", "5$ and 6$", r"\alpha", "100% $"]
"""As categories, items and users may be called."""


@pytest.mark.parametrize("write", [plots.to_png, lambda figure: plots.to_svg(figure, "names").encode()])
def test_names_are_text_and_no_mathematics(write: Callable[[Figure], bytes]) -> None:
    estimates = [Estimate(name, "ndcg", k, 0.1, 0.05, 0.2, 10) for name in NAMES for k in (10, 100)]
    for figure in (plots.leaderboard(estimates, "ndcg", 10), plots.metric_curve(estimates, "ndcg")):
        figure.axes[0].set_title(NAMES[1])
        written = write(figure)
        if written.startswith(b"<svg"):
            assert all(html.escape(name, quote=False) in written.decode() for name in NAMES)


def test_the_ticks_of_a_logarithmic_axis_are_plain_numbers() -> None:
    svg = plots.to_svg(plots.recall_against_speed(INDEX), "speed")
    assert "mathdefault" not in svg


def test_a_grid_takes_any_title() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert image_grid([picture] * len(NAMES), NAMES).startswith(b"\x89PNG")


def test_each_image_of_a_grid_stands_in_its_cell() -> None:
    plain = [np.full((8, 8, 3), 40 * number, np.uint8) for number in range(1, 6)]
    sheet = np.asarray(Image.open(io.BytesIO(image_grid(plain, [""] * 5, columns=3))).convert("RGB")).astype(int)
    height, width = sheet.shape[0] / 2, sheet.shape[1] / 3
    middles = [
        sheet[int((row + 0.6) * height), int((column + 0.5) * width), 0] for row in (0, 1) for column in range(3)
    ]
    np.testing.assert_allclose(middles, [40, 80, 120, 160, 200, 255], atol=1)


def test_the_box_of_a_scene_is_drawn_around_its_product() -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    example = LookExample("s", black, (0.25, 0.25, 0.75, 0.75), "p", black, ())
    row = np.asarray(Image.open(io.BytesIO(look_grid([example]))).convert("RGB")).astype(int)
    scene = row[:, : row.shape[1] // 7]
    inside = np.argwhere(scene.max(axis=2) == 0)
    framed = np.argwhere(scene[:, :, 0] - scene[:, :, 2] > 80)
    share = (framed - inside.min(axis=0)) / (inside.max(axis=0) - inside.min(axis=0))
    np.testing.assert_allclose([share.min(axis=0), share.max(axis=0)], [[0.25, 0.25], [0.75, 0.75]], atol=0.04)
