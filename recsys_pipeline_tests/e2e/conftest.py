"""One day of the tiny marketplace, materialised once for all tests that only read it."""

from pathlib import Path

import pytest

from recsys_pipeline_tests.deployment import DAY, Deployment


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment after its first `recsys run batch_daily`, tracked offline."""
    deployment = Deployment(tmp_path_factory.mktemp("first_day"), (("WANDB_MODE", "offline"),))
    outcome = deployment.batch(DAY)
    assert outcome.code == 0, outcome.text
    return deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment in which nothing was run yet, untracked."""
    return Deployment(tmp_path)
