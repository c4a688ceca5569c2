"""The lineage page in a real browser: it opens on the artifact that was asked for, in view and not under its card."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from recsys_pipeline.core.reports.page.lineage_page import LineageCard, render_lineage
from recsys_pipeline_tests.browser.chromium import NEEDS_CHROMIUM

STAGES = ("dataset", "folds", "models", "neighbors", "reports")
N_BESIDE = 30

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph wider and taller than a window; what was asked for stands at its right end."""
    digests = [f"{number:064x}" for number in range(N_BESIDE + 5)]
    beside = [LineageCard(f"dataset/d{number}", "2026-01-05", digests[number]) for number in range(N_BESIDE)]
    chain = [
        LineageCard(f"{stage}/x", "2026-01-05", digest, is_asked=stage == "reports")
        for stage, digest in zip(STAGES, digests[N_BESIDE:], strict=True)
    ]
    edges = [(number, N_BESIDE + 1) for number in range(N_BESIDE)]
    edges += [(N_BESIDE + at, N_BESIDE + at + 1) for at in range(len(STAGES) - 1)]
    path = tmp_path_factory.mktemp("lineage") / "lineage.html"
    path.write_text(render_lineage([*beside, *chain], edges, STAGES, "", [("source", "shop")]), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_on_what_was_asked_for(chromium: Browser, file: Path, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.goto(file.as_uri())
    card = page.locator(".card.open")
    expect(card).to_have_count(1)
    expect(card.get_by_role("heading", name="reports/x@2026-01-05")).to_be_visible()
    box, over = page.locator(".box-link.asked rect").bounding_box(), card.bounding_box()
    assert box is not None
    assert over is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= (over["x"] if width > 640 else width)
    assert box["y"] + box["height"] <= (800 if width > 640 else over["y"])
    page.keyboard.press("Escape")
    expect(page.locator(".card.open")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_link_to_another_box_opens_on_that(chromium: Browser, file: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(file.as_uri() + "#a0")
    expect(page.locator(".card.open").get_by_role("heading", name="dataset/d0@2026-01-05")).to_be_visible()
    page.close()
