"""Three real data sets, read by configuration alone."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.schema import INTERACTIONS, validate_items, validate_looks
from recsys_pipeline.core.time import Window

LATER = datetime(2026, 4, 1, tzinfo=UTC)
CONFIGS = Path(__file__).parents[2] / "conf" / "sources"


@pytest.mark.data
def test_movietweetings_daily_by_configuration_alone(test_data: Path, tmp_path: Path, monkeypatch) -> None:
    """Counts by day as in the first release that covers each (24 October has 371 there, and 392 in the next)."""
    monkeypatch.setenv("RECSYS_DATA_DIR", str(test_data))
    found = FilesSource.from_toml(CONFIGS / "movietweetings-daily.toml")
    assert found.provides == {"interactions", "items"}
    assert (found.days().first, found.days().last) == (date(2013, 2, 28), date(2013, 11, 5))
    window = Window.of_days(date(2013, 10, 24), date(2013, 10, 26))
    files = write_periods(found.interactions(window), window, tmp_path / "all")
    assert [file.rows for file in files] == [371, 396, 600]
    alone = Window.of_day(date(2013, 10, 25))
    assert write_periods(found.interactions(alone), alone, tmp_path / "one") == [files[1]]
    # 102 users joined between the release of the 24th (20,565) and that of the 27th (20,667), some with late rows only.
    history = found.interactions(Window.of_days(date(2013, 2, 28), date(2013, 10, 23))).read_all()
    new = {user for file in files for user in pq.read_table(tmp_path / "all" / file.path).column("user_id").to_pylist()}
    assert len(new - set(history.column("user_id").to_pylist())) == pytest.approx(102, abs=10)
    assert validate_items(found.items(LATER), LATER).quarantine.num_rows == 0


@pytest.mark.data
def test_movielens_100k_by_configuration_alone(test_data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RECSYS_DATA_DIR", str(test_data))
    found = FilesSource.from_toml(CONFIGS / "ml-100k.toml")
    window = Window.of_days(found.days().first, found.days().last or found.days().first)
    files = write_periods(found.interactions(window), window, tmp_path / "out")
    assert (sum(file.rows for file in files), sum(file.quarantined for file in files)) == (100_000, 0)
    items = {row["item_id"]: row for row in validate_items(found.items(LATER), LATER).clean.to_pylist()}
    assert len(items) == 1682
    assert items["1"]["categories"] == ["Animation", "Children's", "Comedy"]
    assert items["543"]["title"] == "Misérables, Les (1995)"
    stored = pq.read_table(tmp_path / "out" / files[0].path)
    assert stored.schema.equals(INTERACTIONS)


@pytest.mark.data
def test_ikea_looks_by_configuration_alone(test_data: Path, monkeypatch) -> None:
    monkeypatch.setenv("RECSYS_DATA_DIR", str(test_data))
    found = FilesSource.from_toml(CONFIGS / "ikea-looks.toml")
    assert found.provides == {"items", "looks"}
    assert found.days().first == date(2018, 1, 1)
    looks = validate_looks(found.looks(LATER))
    items = validate_items(found.items(LATER), LATER)
    assert (looks.clean.num_rows, looks.quarantine.num_rows) == (2636, 0)
    assert (items.clean.num_rows, items.quarantine.num_rows) == (2317, 0)
    assert set(looks.clean.column("product_id").to_pylist()) <= set(items.clean.column("item_id").to_pylist())
    assert len(set(looks.clean.column("scene_id").to_pylist())) == 205
    assert found.image(looks.clean.column("scene_image")[0].as_py())[:2] == b"\xff\xd8"
