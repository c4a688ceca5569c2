"""Picking the source that the settings name."""

from datetime import date
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.settings import Settings


def settings(**values: object) -> Settings:
    return Settings(**values)  # pyright: ignore[reportCallIssue, reportArgumentType] (every field has a default)


@pytest.mark.parametrize("size", ["tiny", "demo", "large"])
def test_the_simulator_keeps_a_store_for_each_size(size: str) -> None:
    found = open_source(settings(source="simulator", size=size, start_date=None))
    assert isinstance(found, Source)
    assert found.name == f"simulator-{size}"
    assert found.provides == {"interactions", "items", "looks"}


def test_the_simulator_opens_on_the_day_that_is_set() -> None:
    found = open_source(settings(source="simulator", size="tiny", start_date="2026-05-04"))
    assert (found.days().first, found.days().last) == (date(2026, 5, 4), None)


def test_files_are_described_by_a_toml(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("1,7,4.5,1772323200\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nroot = "."\n[interactions]\npath = "r.csv"\ntime_unit = "s"\nevent = "rating"\n'
        "[interactions.columns]\nuser_id = 1\nitem_id = 2\nvalue = 3\ntimestamp = 4\n"
    )
    found = open_source(settings(source="files", source_config=tmp_path / "mine.toml"))
    assert found.name == "mine"
    assert found.provides == {"interactions"}


def test_an_absent_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises((SettingError, SourceError), match=r"absent\.toml"):
        open_source(settings(source="files", source_config=tmp_path / "absent.toml"))


def test_a_preset_is_opened_without_the_network(tmp_path: Path) -> None:
    """Only the data costs a download; the definitions must load without one."""
    found = open_source(settings(source="download:ml-100k", home=tmp_path))
    assert isinstance(found, Source)
    assert "interactions" in found.provides
