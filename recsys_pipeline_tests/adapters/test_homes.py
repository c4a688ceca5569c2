"""A store that several runtime roots write into knows them apart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore, Built
from recsys_pipeline.adapters.store.homes import HOMES, other_homes
from recsys_pipeline.adapters.store.manifest import Recipe

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"


def wrote(url: str, home: Path) -> ArtifactStore:
    """A home's store, after a run there."""
    store = ArtifactStore(url, cache=home / "cache")
    store.build(Recipe("models/als", "2026-01-01", (), {"home": str(home)}, "v", {}), lambda _: Built({}))
    return store


def others_of(store: ArtifactStore, since: datetime = LONG_AGO) -> list[str]:
    return [home.cache for home in other_homes(store.fs, store.root, store.cache, since)]


def test_homes_that_wrote_lately_are_seen_by_one_another(url: str, tmp_path: Path) -> None:
    first, second = wrote(url, tmp_path / "a"), wrote(url, tmp_path / "b")
    reader = ArtifactStore(url, cache=tmp_path / "reads-only" / "cache")
    assert others_of(first) == [str(tmp_path / "b" / "cache")]
    assert others_of(second) == [str(tmp_path / "a" / "cache")]
    assert len(others_of(reader)) == 2
    assert others_of(first, datetime.now(UTC) + timedelta(hours=1)) == [], "one that has not written since is forgotten"


def test_a_home_is_none_of_the_others_to_itself(url: str, tmp_path: Path) -> None:
    wrote(url, tmp_path / "a")
    assert others_of(ArtifactStore(url, cache=tmp_path / "a" / "cache")) == []


def test_a_note_that_is_damaged_counts_as_a_home(url: str, tmp_path: Path) -> None:
    first, second = wrote(url, tmp_path / "a"), wrote(url, tmp_path / "b")
    for path in second.fs.ls(f"{second.root}/{HOMES}", detail=False):
        second.fs.pipe_file(path, b'{"host"')
    assert len(others_of(first)) == 1
