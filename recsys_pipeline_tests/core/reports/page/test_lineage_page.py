"""The drawing and the page of lineage: left to right, nothing overlaps, all text escaped, no network."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.reports.page.lineage_layout import BOX_ROOM, LANE_ROOM, isotonic, lay_out
from recsys_pipeline.core.reports.page.lineage_page import LineageCard, render_lineage

STAGES = ("dataset", "folds", "models", "reports")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Stages in flow order and edges that lead forward."""
    stages = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=14)))
    pairs = st.tuples(st.integers(0, len(stages) - 1), st.integers(0, len(stages) - 1))
    edges = draw(st.lists(pairs.filter(lambda pair: pair[0] < pair[1]), max_size=30, unique=True))
    return stages, edges


@given(graphs())
def test_edges_lead_right_and_nothing_overlaps(graph: tuple[list[int], list[tuple[int, int]]]) -> None:
    stages, edges = graph
    layout = lay_out(stages, edges)
    for source, target in edges:
        assert layout.column[source] < layout.column[target]
        assert len(layout.lanes[source, target]) == layout.column[target] - layout.column[source] - 1
    taken: dict[int, set[tuple[float, float, int]]] = {}
    for row, (column, height) in enumerate(zip(layout.column, layout.height, strict=True)):
        taken.setdefault(column, set()).add((height, BOX_ROOM, row))
    for (source, _), lanes in layout.lanes.items():
        for column, height in enumerate(lanes, layout.column[source] + 1):
            taken.setdefault(column, set()).add((height, LANE_ROOM, source))
    for places in taken.values():
        for (above, room, _), (below, more, _) in pairwise(sorted(places)):
            assert below - above >= (room + more) / 2 - 1e-6
        assert min(height - room / 2 for height, room, _ in places) >= -1e-6
        assert max(height for height, _, _ in places) <= layout.bottom
    order = sorted(range(len(stages)), key=lambda row: layout.column[row])
    assert [stages[row] for row in order] == sorted(stages), "stages stand in the order of flow"


def test_a_straight_chain_is_drawn_straight() -> None:
    layout = lay_out([0, 1, 2, 3], [(0, 1), (1, 2), (2, 3)])
    assert layout.column == [0, 1, 2, 3]
    assert layout.height == pytest.approx([BOX_ROOM / 2] * 4)


def test_a_long_chain_and_an_edge_that_leads_back_are_drawn_too() -> None:
    edges = [(row, row + 1) for row in range(1199)]
    assert lay_out([0] * 1200, edges).column == list(range(1200))
    assert lay_out([1, 0], [(0, 1)]).column == [1, 0]


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_isotonic_is_the_nearest_sequence_that_never_falls(values: list[float]) -> None:
    """Optimality of the projection: the residual is orthogonal to the solution, and its partial sums never negative."""
    fitted = isotonic(values)
    assert len(fitted) == len(values)
    assert all(one <= two + 1e-6 for one, two in pairwise(fitted))
    residuals = [value - fit for value, fit in zip(values, fitted, strict=True)]
    total = 0.0
    for residual in residuals:
        total += residual
        assert total >= -1e-3
    assert abs(total) <= 1e-3


def page() -> str:
    tables = (("Config", (("definition", "line one\nline <two>"),)),)
    cards = [
        LineageCard("dataset/items", "2026-01-05", "a" * 64, "gone"),
        LineageCard("models/als", "2026-01-05", "b" * 64, "older", "recall <1>", (("made", "then"), ("took", "1 s")),
                    tables, is_asked=True),
        LineageCard("reports/a_report_of_a_very_long_name", "2026-01-05", "c" * 64),
    ]  # fmt: skip
    return render_lineage(cards, [(0, 1), (1, 2)], STAGES, "als was made from 1 & went into 1", [("source", "shop")])


def test_every_artifact_has_a_box_that_leads_to_its_manifest() -> None:
    text = page()
    assert re.findall(r'<a href="#(a\d)" class="box-link ([^"]*)"', text) == [
        ("a0", "gone"),
        ("a1", "older asked"),
        ("a2", "current"),
    ]
    assert re.findall(r'<article class="card" id="(a\d)"', text) == ["a0", "a1", "a2"]
    assert re.findall(r'class="edge" data-from="(\d)" data-to="(\d)"', text) == [("0", "1"), ("1", "2")]
    assert "a_report_of_a_ve…" in text
    assert re.search(r"made from</dt><dd><a href=\"#a0\">dataset/items</a></dd>", text)


def test_the_page_is_one_file_and_escapes_what_it_shows() -> None:
    text = page()
    assert re.findall(r"<(?:script|link|iframe|img)[^>]*(?:src|href)=", text) == []
    assert re.findall(r"url\(", text) == []
    assert "line one\nline &lt;two&gt;" in text
    assert "recall &lt;1&gt;" in text
    assert "made from 1 &amp; went into 1" in text
    assert page() == text


def test_a_run_of_days_is_one_box_with_all_of_them_behind_it() -> None:
    days = tuple((f"2026-01-0{day}", f"{day}" * 12) for day in range(1, 6))
    run = LineageCard("dataset/interactions", "5 days", "", facts=(("first", days[0][0]),), tables=(("Each", days),))
    asked = LineageCard("dataset/snapshot", "2026-01-05", "b" * 64, facts=(("made", "then"),), is_asked=True)
    text = render_lineage([run, asked], [(0, 1)], STAGES, "", [("artifacts", "6")])
    assert re.search(r'<text class="when"[^>]*>5 days</text>', text)
    assert "<h3>dataset/interactions, 5 days</h3>" in text
    assert all(day in text for day, _ in days)
    assert 'made from</dt><dd><a href="#a0">dataset/interactions, 5 days</a></dd>' in text
