"""The section says what is clear and what is not, and tells cold products apart."""

import math

from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate
from recsys_pipeline.core.reports.looks.look_report import PRIMARY, GroupFigure
from recsys_pipeline.core.reports.looks.looks_section import looks_section
from recsys_pipeline.core.reports.page.page import ReportData, Table, Text, render_page

VALUES = {"random": 0.5, "colour_histogram": 0.6, "stl": 0.62, "stl_csls": 0.66}
ESTIMATES = [Estimate(name, *PRIMARY, value, value - 0.02, value + 0.02, 90) for name, value in VALUES.items()]
DIFFERENCES = [
    Difference("stl", "random", *PRIMARY, 0.12, 0.08, 0.16, 30, 0.001, 0.05),
    Difference("stl", "colour_histogram", *PRIMARY, 0.02, -0.03, 0.07, 30, 0.4, 0.06),
    Difference("stl", "stl_csls", *PRIMARY, -0.04, -0.06, -0.02, 30, 0.002, 0.02),
]
GROUPS = [
    GroupFigure("seen", "stl", *PRIMARY, 0.62, 0.6, 0.64, 90, 30),
    GroupFigure("unseen", "stl", *PRIMARY, math.nan, math.nan, math.nan, 0, 0),
]


def test_the_headline_is_about_the_model_and_its_rivals() -> None:
    section = looks_section(ESTIMATES, [], "protocol", DIFFERENCES)
    assert section.headline.startswith("stl has a same-category accuracy of 0.620 (95% interval 0.600–0.640) on 90")
    assert "clearly better than random. It is not clearly better than colour_histogram." in section.headline
    assert "stl_csls" not in section.headline


def test_tables_of_leads_and_cold_products() -> None:
    section = looks_section(ESTIMATES, [], "protocol", DIFFERENCES, GROUPS, "2026-01-05-looks.html")
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [1, 3, 1]
    assert tables[1].columns[-1] == "scenes"
    assert [cell.text for cell in tables[2].rows[0]] == ["stl", "0.620", "no pairs"]
    assert "products of train looks: 90 pairs of 30 scenes; products in no train look: 0 pairs" in tables[2].caption
    assert section.blocks[0] == Text("protocol", ("2026-01-05-looks.html", "Look book: scenes, looks, and why"))
    page = render_page(ReportData("shop", "2026-01-05", "abc", (), (section,)))
    assert '<a href="2026-01-05-looks.html">Look book: scenes, looks, and why</a>' in page


def test_without_figures_there_is_no_headline() -> None:
    assert looks_section([], [], "protocol").headline == ""
