"""The look book in a real browser: no script, no network, a panel at a click, and no sideways scroll."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from recsys_pipeline.core.reports.looks.look_book import make_look_book
from recsys_pipeline.core.reports.looks.look_book_page import render_look_book
from recsys_pipeline_tests.browser.chromium import NEEDS_CHROMIUM
from recsys_pipeline_tests.core.reports.looks.test_look_book import DATA, FOLDS, Brightness, best_of_each, shelf

pytestmark = NEEDS_CHROMIUM


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_a_click_shows_what_is_most_like_a_product(chromium: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    book = make_look_book(Brightness(DATA), DATA, FOLDS.train, FOLDS.test, best_of_each, 2, 0)
    path = tmp_path / "looks.html"
    path.write_text(render_look_book(book, DATA, shelf(), "shop", "2026-01-05", "abc"), encoding="utf-8")
    page = chromium.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=False,
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    first = book.scenes[0].items[0].product
    panel = page.locator(f"#near-{first}")
    expect(panel).to_be_hidden()
    page.locator(f".picks button[popovertarget='near-{first}']").first.click()
    expect(panel).to_be_visible()
    expect(panel.locator(".item")).to_have_count(len(book.neighbours[first]))
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    assert [url for url in requests if url != path.as_uri() and not url.startswith("data:image/")] == []
    page.close()


def test_the_look_book_fits_a_phone(chromium: Browser, tmp_path: Path) -> None:
    book = make_look_book(Brightness(DATA), DATA, FOLDS.train, FOLDS.test, best_of_each, 2, 0)
    path = tmp_path / "looks.html"
    path.write_text(render_look_book(book, DATA, shelf(), "shop", "2026-01-05", "abc"), encoding="utf-8")
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture = page.locator(".picks .pic").first
    assert picture.evaluate("one => getComputedStyle(one).backgroundImage").startswith('url("data:image/webp')
    page.close()
