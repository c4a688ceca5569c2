"""What changed since yesterday, the index of all days, and the map of items."""

import math
import re

import numpy as np
import pytest

from recsys_pipeline.core.neighbors.exact import exact_top_k_numpy
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.lists.embedding_map import map_figure, neighbours_section, principal_components
from recsys_pipeline.core.reports.page.changes import DayFacts, changes_section
from recsys_pipeline.core.reports.page.day_index import DayEntry, render_index
from recsys_pipeline.core.reports.page.plots import to_svg
from recsys_pipeline.core.reports.page.samples import ItemCards
from recsys_pipeline_tests.core.reports.page.test_page import EVIL, outline


def day(name: str, users: int, **figures: float) -> DayFacts:
    rows = [Estimate(model, "ndcg", 10, value, value - 0.02, value + 0.02, 100) for model, value in figures.items()]
    return DayFacts(name, {"users": users, "rows": 1000 + users}, rows)


def test_the_paragraph_says_what_grew_who_leads_and_whether_it_is_chance() -> None:
    section = changes_section(day("2026-01-02", 110, als=0.31, popularity=0.1), day("2026-01-01", 100, als=0.3))
    assert section.headline == (
        "Since 2026-01-01: +10 users (now 110), +10 rows (now 1,110). "
        "als still ranks best: NDCG@10 0.300 → 0.310 (+0.010, within chance)."
    )
    section = changes_section(
        day("2026-01-02", 90, als=0.2, ease=0.4, popularity=0.1),
        day("2026-01-01", 100, als=0.3, ease=0.28, popularity=0.1),
    )
    assert "-10 users (now 90)" in section.headline
    assert (
        "ease now ranks best, before it was als: NDCG@10 0.280 → 0.400 (+0.120, more than chance)." in section.headline
    )
    assert section.headline.endswith("Also clearly changed: als.")


def test_new_models_first_days_and_days_without_figures() -> None:
    assert "first report" in changes_section(day("2026-01-02", 5, als=0.3), None).headline
    assert "it is new, with NDCG@10 0.500" in changes_section(day("b", 5, ease=0.5), day("a", 5, als=0.3)).headline
    assert changes_section(day("b", 5), day("a", 5)).headline == "Since a: +0 users (now 5), +0 rows (now 1,005)."


def test_two_days_differ_clearly_as_often_as_chance_allows() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02 / 1.96, (400, 2))
    clear = sum("more than chance" in changes_section(
        day("b", 1, als=0.3 + now), day("a", 1, als=0.3 + then)).headline for now, then in noise)  # fmt: skip
    assert clear / 400 == pytest.approx(0.05, abs=0.033)  # three standard errors


ENTRIES = [
    DayEntry("2026-01-01", "2026-01-01.html", "als", "NDCG@10", 0.3, 0.28, 0.32, 900),
    DayEntry("2026-01-03", "2026-01-03.html", EVIL, "NDCG@10", 0.35, 0.33, 0.37, 910, (EVIL,)),
    DayEntry("2026-01-02", "2026-01-02.html", "", "", math.nan, math.nan, math.nan, 0),
]


def test_the_index_links_every_day_newest_first_and_nothing_else() -> None:
    page = render_index(EVIL, ENTRIES)
    outline(page)
    assert EVIL not in page
    assert re.findall(r'href="([^"#]+)"', page) == ["2026-01-03.html", "2026-01-02.html", "2026-01-01.html"]
    assert "0.330–0.370" in page
    assert page.count("<svg") == 1
    outline(render_index("empty", []))
    assert "No report has been made yet" in render_index("empty", [])


def test_principal_components_are_those_of_the_singular_value_decomposition() -> None:
    vectors = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32) * np.array(
        [5, 3, 1, 1, 1, 1], np.float32
    )
    points, share = principal_components(vectors)
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(u[:, :2] * s[:2]), atol=1e-4)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum(), rel=1e-5)
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()


def test_degenerate_vectors_have_a_map() -> None:
    points, _ = principal_components(np.ones((4, 1), np.float32))
    assert points.tolist() == [[0.0, 0.0]] * 4
    assert principal_components(np.ones((0, 3), np.float32))[0].shape == (0, 2)
    assert "<svg" in to_svg(map_figure(np.zeros((2, 2)), ["a", "b"]), "map")


def test_neighbours_are_the_exact_ones_without_the_item_itself() -> None:
    vectors = np.random.default_rng(2).standard_normal((30, 5)).astype(np.float32)
    names = [f"p{i}" for i in range(30)]
    cards = ItemCards(names, {}, None)
    section = neighbours_section(vectors, np.array([3, 29]), {"p1": EVIL}, cards, "als", n_neighbours=4)
    samples = section.blocks[-1].users  # pyright: ignore[reportAttributeAccessIssue]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected, _ = exact_top_k_numpy(unit[[3, 29]], unit, 5)
    for sample, row, own in zip(samples, expected, (3, 29), strict=True):
        assert sample.user == f"p{own}"
        assert [card.title for card in sample.recommended] == [f"p{i}" for i in row if i != own]
