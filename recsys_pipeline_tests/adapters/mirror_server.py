"""One server and one client for all tests of the mirror; each test has a project of its own in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline_tests.adapters.mirror_fixtures import Home
from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client
from recsys_pipeline_tests.wandb_double.views import ArtifactRecord, Edge


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbDouble]:
    with WandbDouble(tmp_path_factory.mktemp("double")) as started:
        yield started
        assert started.unanswered() == []


@pytest.fixture(scope="package")
def client(server: WandbDouble) -> Iterator[Client]:
    """One process with the client for all tests: starting one takes seconds."""
    with Client(server.environment()) as started:
        yield started


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest, server: WandbDouble) -> Iterator[Home]:
    """A runtime root whose project in W&B is this test's alone."""
    yield Home(tmp_path, request.node.name.replace("[", "-").replace("]", "")[:60])
    server.heal()


class View:
    """What the server holds of one project."""

    def __init__(self, server: WandbDouble, home: Home) -> None:
        self.server = server
        self.home = home

    def artifacts(self) -> list[ArtifactRecord]:
        return self.server.artifacts(self.home.project)

    def edges(self) -> set[Edge]:
        runs = {run.name for run in self.server.runs(self.home.project)}
        return {edge for edge in self.server.edges() if edge.run in runs}
