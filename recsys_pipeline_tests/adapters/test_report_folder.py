"""The folder of reports: whole files, every published day in the index, nothing that is not there."""

import re
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.report_folder import beside, publish_beside, publish_page

KEY = "reports/daily"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def page(store: ArtifactStore, day: str, text: str, **metrics: object) -> Artifact:
    def build(directory: Path) -> Built:
        (directory / "index.html").write_text(text)
        return Built(metrics)

    return store.build(Recipe(KEY, day, (), {"text": text}, "v", {}), build, run_id="")


def test_every_published_day_is_listed_newest_first(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    figures = {
        "best": "als",
        "metric": "NDCG@10",
        "value": 0.31,
        "low": 0.3,
        "high": 0.32,
        "users": 9,
        "drifted": ["price"],
    }
    for day, metrics in (("2026-01-01", {}), ("2026-01-02", figures)):
        index = publish_page(store, page(store, day, f"page of {day}", **metrics), folder, "shop")
    page(store, "2026-01-03", "made, but never published")
    text = index.read_text()
    assert re.findall(r'href="([^"#]+)"', text) == ["2026-01-02.html", "2026-01-01.html"]
    assert "0.300–0.320" in text
    assert "price" in text
    assert sorted(path.name for path in folder.iterdir()) == ["2026-01-01.html", "2026-01-02.html", "index.html"]
    assert (folder / "2026-01-02.html").read_text() == "page of 2026-01-02"


def test_a_day_made_again_replaces_its_page(store: ArtifactStore, tmp_path: Path) -> None:
    for text in ("first", "second"):
        publish_page(store, page(store, "2026-01-01", text), tmp_path / "reports", "shop")
    assert (tmp_path / "reports" / "2026-01-01.html").read_text() == "second"


def test_a_page_beside_the_day_is_where_the_day_links_to(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    path = publish_beside(page(store, "2026-01-01", "looks"), "index.html", folder, "looks")
    assert path == folder / beside("2026-01-01", "looks") == folder / "2026-01-01-looks.html"
    assert path.read_text() == "looks"
    index = publish_page(store, page(store, "2026-01-01", "the day"), folder, "shop")
    assert re.findall(r'href="([^"#]+)"', index.read_text()) == ["2026-01-01.html"]
