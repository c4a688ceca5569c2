"""Pictures of the documents are taken by a program from a deployment's own pages."""

from pathlib import Path

from PIL import Image

from recsys_pipeline.core.reports.page.page import ReportData, render_page
from recsys_pipeline_tests.browser.chromium import NEEDS_CHROMIUM
from recsys_pipeline_tests.browser.pictures import PICTURES, photograph

pytestmark = NEEDS_CHROMIUM


def test_the_newest_day_is_photographed_in_the_size_of_the_documents(tmp_path: Path) -> None:
    for day in ("2026-01-04", "2026-01-05"):
        (tmp_path / f"{day}.html").write_text(render_page(ReportData("shop", day, "", (), ())), encoding="utf-8")
    assert photograph(tmp_path, tmp_path) == [tmp_path / "report.png"], "there is no look book"
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.size == PICTURES["report.png"][1:]
