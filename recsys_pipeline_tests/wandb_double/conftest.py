"""One double and one client for all tests of the double that need a client; each test has a project of its own."""

from collections.abc import Iterator

import pytest

from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client


@pytest.fixture(scope="session")
def shared_double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbDouble]:
    """The server behind `client`."""
    with WandbDouble(tmp_path_factory.mktemp("wandb-double")) as started:
        yield started


@pytest.fixture
def double(shared_double: WandbDouble) -> Iterator[WandbDouble]:
    """The shared server, healthy at the start of each test and asked for nothing unknown in it."""
    before = len(shared_double.requests())
    yield shared_double
    shared_double.heal()
    assert shared_double.unanswered(before) == []


@pytest.fixture(scope="session")
def client(shared_double: WandbDouble) -> Iterator[Client]:
    """The child process with the real client."""
    with Client(shared_double.environment()) as started:
        yield started


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A name that is this test's alone, for its project and as the start of its runs' ids."""
    return request.node.name.replace("[", "-").replace("]", "").replace("_", "-")[:60]
