"""A home with a promoted release, and a service that tests only ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline_tests.service.running import Service, promoted, running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a promoted release."""
    promoted(ArtifactStore(str(tmp_path / "store"), tmp_path / "cache"), tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that tests only ask."""
    folder = tmp_path_factory.mktemp("service")
    promoted(ArtifactStore(str(folder / "store"), folder / "cache"), folder)
    with running(folder) as found:
        yield found
