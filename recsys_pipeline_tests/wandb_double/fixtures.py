"""Fixtures for tests that talk to W&B."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline_tests.wandb_double.double import WandbDouble


@pytest.fixture
def wandb_double(tmp_path: Path) -> Iterator[WandbDouble]:
    """A double of this test's own; the test fails if it was asked for something that it does not know."""
    with WandbDouble(tmp_path / "wandb-double") as double:
        yield double
        assert double.unanswered() == []
