"""Settings: documented, typed, and named by the error where a value is wrong."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.settings import Settings, settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No `.env`, no variables, nothing remembered."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RECSYS_{name.upper()}", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_nothing_need_be_set() -> None:
    found = settings()
    assert (found.source, found.size, found.store_url) == ("simulator", "demo", "data/store")


@pytest.mark.parametrize(
    ("variable", "value"), [("RECSYS_SIZE", "huge"), ("RECSYS_START_DATE", "yesterday"), ("RECSYS_START_DATE", "")]
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=rf"^{variable}: .*\.env\.example"):
        settings()


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SIZE", "huge")
    monkeypatch.setenv("RECSYS_START_DATE", "yesterday")
    with pytest.raises(SettingError, match=r"RECSYS_SIZE.*RECSYS_START_DATE"):
        settings()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("RECSYS_SIZE=large\nRECSYS_START_DATE=2026-03-01\nUNRELATED=1\n")
    monkeypatch.setenv("RECSYS_SIZE", "tiny")
    assert (settings().size, settings().start_date) == ("tiny", date(2026, 3, 1))


def test_the_store_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_STORE", "s3://bucket/recsys")
    monkeypatch.setenv("RECSYS_HOME", "somewhere")
    assert settings().store_url == "s3://bucket/recsys"


def test_the_example_documents_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^#? ?(RECSYS_[A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    known = {f"RECSYS_{name.upper()}" for name in Settings.model_fields}
    assert named == known | {"RECSYS_DATA_DIR"}  # which the example TOMLs name as their root
    assert all(field.description for field in Settings.model_fields.values())


def test_the_example_names_every_preset() -> None:
    from recsys_pipeline.adapters.sources.download import PRESETS

    listed = re.search(r"\(presets: ([^)]*)\)", EXAMPLE.read_text())
    assert listed is not None
    assert set(re.findall(r"[\w-]+", listed[1])) == set(PRESETS)


def test_the_example_is_a_valid_file() -> None:
    Path(".env").write_text(re.sub(r"^# (RECSYS_)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert settings().start_date == date(2026, 1, 1)


@pytest.mark.parametrize("name", ["simulater", "file", "", "Simulator", "mysql"])
def test_an_unknown_source_is_refused(name: str) -> None:
    with pytest.raises(
        SettingError, match=f"RECSYS_SOURCE is {name!r}: use simulator, files, sql or download:<preset>"
    ):
        open_source(Settings(source=name))  # pyright: ignore[reportCallIssue] (every field has a default)


@pytest.mark.parametrize("kind", ["files", "sql"])
def test_a_source_without_its_description_is_refused(kind: str) -> None:
    with pytest.raises(SettingError, match=f"RECSYS_SOURCE={kind} needs RECSYS_SOURCE_CONFIG"):
        open_source(Settings(source=kind))  # pyright: ignore[reportCallIssue] (as above)


@pytest.mark.parametrize("source", ["download", "download:", "download:no-such-set"])
def test_an_unknown_preset_is_refused_before_anything_is_fetched(source: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there are ml-100k, ml-1m"):
        open_source(Settings(source=source, home=tmp_path))  # pyright: ignore[reportCallIssue] (as above)
    assert list(tmp_path.iterdir()) == []
