"""Photographs the pages of a deployment for docs/images, so that they are of the version that made them.

python -m recsys_pipeline_tests.browser.pictures data/reports/simulator-demo --out docs/images
"""

import argparse
from pathlib import Path

from recsys_pipeline_tests.browser.chromium import launched

PICTURES = {"report.png": ("", 1280, 1500), "look_book.png": ("-looks", 900, 605)}
"""Of a picture: how the page's name ends after its day, and the size that is photographed."""


def photograph(reports: Path, out: Path) -> list[Path]:
    """The newest day's pages below a folder of reports; pages that it has not are left out."""
    newest = max(path.stem for path in reports.glob("????-??-??.html"))
    made = []
    with launched() as browser:
        for name, (end, width, height) in PICTURES.items():
            file = reports / f"{newest}{end}.html"
            if file.is_file():
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
                page.goto(file.absolute().as_uri())
                page.screenshot(path=out / name)
                made.append(out / name)
    return made


def main() -> None:
    """Take the pictures and name them."""
    parser = argparse.ArgumentParser(description="Photograph a deployment's report and look book.")
    parser.add_argument("reports", type=Path, help="the folder of its pages, such as data/reports/simulator-demo")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/images"), help="where pictures go (default: %(default)s)"
    )
    parsed = parser.parse_args()
    for path in photograph(parsed.reports, parsed.out):
        print(path)


if __name__ == "__main__":
    main()
