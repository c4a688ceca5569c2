"""The release that is served is `champion` in W&B: one at a time, in the order of the moves, back again too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline_tests.adapters.mirror_fixtures import Home, push
from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("WANDB_MODE", "offline")
    return Home(tmp_path, "champions")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WandbDouble]:
    with WandbDouble(tmp_path / "double") as started:
        yield started


def serve(home: Home, release: Artifact) -> None:
    """Tell the outbox that a release is served from now on."""
    tracker = Tracker(home.folder / "wandb", home.project)
    with tracker.run("serving/champion", "serving", {}, inputs=[release]) as run:
        run.alias(release, "champion")


def champions(server: WandbDouble, home: Home) -> list[str]:
    """Partitions of the versions that have the alias."""
    return [one.metadata["partition"] for one in server.artifacts(home.project) if "champion" in one.aliases]


def test_one_release_at_a_time_has_the_alias(home: Home, server: WandbDouble) -> None:
    first, second = (home.make("serving/release", partition=f"2026-01-0{day}") for day in (5, 6))
    serve(home, first)
    serve(home, second)
    with Client(server.environment()) as client:
        assert client.call(push, home).left == ()
        assert champions(server, home) == ["2026-01-06"], "what was served last"
        serve(home, first)
        assert client.call(push, home).left == ()
        assert champions(server, home) == ["2026-01-05"], "a way back"
        before = len(server.requests())
        client.call(push, home)
        assert len(server.requests()) == before
