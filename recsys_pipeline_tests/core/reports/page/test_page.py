"""The report page: self-contained, escaped, honest, and complete with or without each section."""

import dataclasses
import html.parser
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.reports.accuracy.hit_rates import ValueHitRate
from recsys_pipeline.core.reports.accuracy.leaderboard import (
    headline_markdown,
    leaderboard_table,
    ranking_headline,
    ranking_section,
)
from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate
from recsys_pipeline.core.reports.looks.looks_section import looks_section
from recsys_pipeline.core.reports.page.page import (
    Cell,
    ItemCard,
    ReportData,
    Section,
    Table,
    Text,
    UserSample,
    counts,
    render_page,
)
from recsys_pipeline.core.reports.page.pictures import LookExample, LookMatch, encode_image
from recsys_pipeline.core.reports.page.sections import (
    LineageRow,
    index_section,
    lineage_section,
    samples_section,
    terms_section,
)
from recsys_pipeline_tests.core.reports.page.test_plots import ESTIMATES, INDEX

EVIL = '<script>alert("x")</script>'
PICTURE = np.full((40, 30, 3), 120, np.uint8)


class Outline(html.parser.HTMLParser):
    """Collects tags, ids and addresses, and fails on tags that do not close."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.images_without_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]
        self.images_without_alt += tag == "img" and not found.get("alt")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    assert parsed.open == []
    return parsed


def report(*sections: Section) -> ReportData:
    return ReportData(EVIL, "2026-03-01", "abc123", counts([("Users", 1500)]), sections, warnings=(f"3 rows {EVIL}",))


@pytest.fixture(scope="module")
def page() -> str:
    look = LookExample(EVIL, PICTURE, (0.1, 0.2, 0.5, 0.9), EVIL, PICTURE, (LookMatch(EVIL, PICTURE, 0.9, True),))
    cards = (ItemCard(EVIL, encode_image(PICTURE), True), ItemCard("plain"))
    ref = ArtifactRef("models/als", "2026-03-01", "f" * 40)
    looks = [Estimate("stl", "same_category_accuracy", 0, 0.86, 0.8, 0.9, 400)]
    return render_page(
        report(
            ranking_section(ESTIMATES, [], EVIL, {"popularity": np.arange(9)}),
            looks_section(looks, [look], "masked"),
            index_section({EVIL: INDEX}),
            samples_section([UserSample(EVIL, cards, cards[1:])], "als", "als"),
            lineage_section([LineageRow(ref, (ref,))]),
            terms_section(["ndcg", "hubness", "unheard_of"]),
            Section("own", "Added by one file", (Text("hello"), Table(("a", "b"), ((Cell("x"), Cell("1")),)))),
        )
    )


def test_page_is_self_contained_and_every_picture_has_words(page: str) -> None:
    parsed = outline(page)
    outside = [address for address in parsed.addresses if not address.startswith(("#", "data:image/"))]
    assert outside == []
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert parsed.images_without_alt == 0
    assert page.count('role="img"') == parsed.tags.count("svg") > 3


def test_all_text_is_escaped(page: str) -> None:
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_tables_scroll_by_themselves_and_both_colour_schemes_exist(page: str) -> None:
    assert page.count("<table") == page.count('<div class="scroll"')
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_anchors_are_unique_and_reached_from_the_menu(page: str) -> None:
    anchors = re.findall(r'<section id="([^"]+)"', page)
    assert anchors == ["leaderboard", "looks", "indexes", "samples", "lineage", "terms", "own"]
    assert re.findall(r'<a href="#([^"]+)"', page) == anchors


def test_a_plot_that_cannot_be_drawn_leaves_the_rest_of_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no <glyph> for it")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.warns(UserWarning, match="cannot be drawn: ValueError"):
        text = render_page(report(ranking_section(ESTIMATES, [], "p")))
    assert "This plot could not be drawn: ValueError: no &lt;glyph&gt; for it" in text
    assert "popularity" in text


def test_same_data_gives_the_same_page_and_no_sections_is_a_page_too() -> None:
    first, second = (render_page(report(ranking_section(ESTIMATES, [], "p"))) for _ in range(2))
    assert first == second
    outline(render_page(dataclasses.replace(report(), warnings=())))


def gap(baseline: str, low: float, high: float) -> Difference:
    return Difference(
        "als & <co>", baseline, "ndcg", 10, (low + high) / 2, low, high, 100, 0.2 if low < 0 < high else 0.001, 0.03
    )


def test_headline_says_what_is_clear_and_what_is_chance() -> None:
    text = ranking_headline(ESTIMATES, [gap("popularity", -0.01, 0.1), gap("random", 0.05, 0.2)])
    assert "als & <co> ranks best: NDCG@10 0.200 (95% interval 0.180–0.220) over 100 users." in text
    assert "clearly better than random." in text
    assert "The lead over popularity is within chance." in text
    assert ranking_headline([], []) == "No user could be evaluated, so there is no ranking of models."


def test_a_model_that_tells_no_items_apart_is_not_called_best_and_equals_are_named() -> None:
    def row(model: str, metric: str, k: int, value: float) -> Estimate:
        return Estimate(model, metric, k, value, math.nan, math.nan, 50)

    flat = [row("flat", "ndcg", 10, 0.2), row("flat", "silent_users", 0, 1.0)]
    text = ranking_headline([*flat, row("als", "ndcg", 10, 0.1), row("als", "silent_users", 0, 0.0)], [])
    assert "No model ranks best: flat at the top gives all items the same score" in text
    assert "NDCG@10 of 0.200 is that of a random order" in text
    same = [row("a", "ndcg", 10, 0.2), row("b", "ndcg", 10, 0.2), row("c", "ndcg", 10, 0.1)]
    assert "B has the same figure." in ranking_headline(same, [])


def test_undefined_figures_are_called_so_and_random_coverage_is_not_praised() -> None:
    rows = [
        Estimate("a", "ndcg", 10, math.nan, math.nan, math.nan, 0),
        Estimate("a", "coverage", 10, 1.0, math.nan, math.nan, 5),
        Estimate("b", "coverage", 10, 0.2, math.nan, math.nan, 5),
    ]
    cells = {cell.text: cell for row in leaderboard_table(rows).rows for cell in row}
    assert cells["undefined"].tone == ""
    assert cells["1.000"].tone == ""


def test_distances_within_chance_are_grey() -> None:
    gaps = [gap("popularity", -0.01, 0.1), gap("random", 0.05, 0.2)]
    rows = {row[0].text: row for row in leaderboard_table(ESTIMATES, "ndcg", 10, gaps).rows}
    assert (rows["popularity"][2].text, rows["popularity"][2].detail) == ("-0.045", "p .2000")
    assert rows["popularity"][2].tone == "muted"
    assert rows["als & <co>"][2].text == "–"
    page = render_page(report(ranking_section(ESTIMATES, gaps, "p")))
    assert page.count('class="muted"') == 3  # distance, difference, verdict
    assert "0.0300" in page  # the detectable difference


def test_what_people_valued_most_has_its_own_table() -> None:
    rates = [
        ValueHitRate("als", value, above, 10, 0.25 * value, 0.1, 0.9, 40)
        for above in (False, True)
        for value in (1.0, 3.0)
    ]
    page = render_page(report(ranking_section(ESTIMATES, [], "p", by_value=rates)))
    assert "Found in the first 10 places, by the value that people gave" in page
    assert "3 or more" in page
    assert "by the value" not in render_page(report(ranking_section(ESTIMATES, [], "p", by_value=rates[:1])))


def test_headline_markdown_is_a_table_that_bars_cannot_break() -> None:
    rows = [dataclasses.replace(row, model="a|b") for row in ESTIMATES[:4]]
    lines = headline_markdown(rows).splitlines()
    assert lines[0].startswith("a|b ranks best")
    assert lines[2] == "| model | NDCG@10 | Recall@10 | users |"
    assert lines[4] == "| a\\|b | 0.100 0.090–0.110 | 0.100 0.090–0.110 | 100 |"


def test_an_index_below_its_target_makes_the_headline() -> None:
    section = index_section({"als": dataclasses.replace(INDEX, recall=0.5), "stl": INDEX})
    assert section.headline == "Index recall is below its target for als."
    assert index_section({"als": INDEX}).headline == (
        "The als index finds 96.8% of the true neighbours at 21,000 queries a second."
    )


def test_samples_say_whose_lists_they_are_and_show_the_released_models_beside_the_best() -> None:
    item, other = ItemCard("lamp", None), ItemCard("sofa", None)
    user = UserSample("u1", (item,), (item,), beside=(other,))
    same = samples_section([user], "als", "als")
    assert "Lists of als, which ranks best and is the model of releases" in str(same.blocks[0])
    page = render_page(ReportData("shop", "2026-01-05", "", (), (samples_section([user], "ease", "als"),)))
    assert "Lists of ease, which ranks best, beside those of als, the model of releases" in page
    assert re.findall(r"<h4>(.*?)</h4>", page) == ["Chose before", "ease, ranks best", "als, the model of releases"]
    assert page.index("sofa") > page.index("als, the model of releases</h4>")
    assert "sofa" not in render_page(ReportData("shop", "2026-01-05", "", (), (same,)))
