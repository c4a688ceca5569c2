"""One day of the tiny marketplace, materialised once for all tests that only read it."""

from pathlib import Path

import pytest

from recsys_pipeline_tests.deployment import DAY, Deployment
from recsys_pipeline_tests.support.built_once import built_once


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment after its first `recsys run batch_daily`, tracked offline."""
    tracked = (("WANDB_MODE", "offline"),)

    def build(folder: Path) -> None:
        outcome = Deployment(folder, tracked).batch(DAY)
        assert outcome.code == 0, outcome.text

    return Deployment(built_once(tmp_path_factory, "first_day", build), tracked)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment in which nothing was run yet, untracked."""
    return Deployment(tmp_path)
