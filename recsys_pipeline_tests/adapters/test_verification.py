"""Inputs are compared with their digests before or beside the making, and a damaged one fails either."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.verification import verified
from recsys_pipeline.core.errors import ArtifactError


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    def build(directory: Path) -> Built:
        (directory / "vectors.bin").write_bytes(b"precious")
        return Built({})

    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    return store.build(Recipe("serving/release", "2026-01-05", (), {}, "", {}), build)


@pytest.mark.parametrize("beside", [False, True])
def test_intact_inputs_let_the_block_through(made: Artifact, beside: bool) -> None:
    with verified([made], beside):
        done = True
    assert done


def test_of_a_damaged_input_nothing_is_begun(made: Artifact) -> None:
    (made.path / "vectors.bin").write_bytes(b"previous")
    with (
        pytest.raises(ArtifactError, match=r"vectors\.bin is .*corrupt: materialize serving/release 2026-01-05 again"),
        verified([made]),
    ):
        pytest.fail("the block must not run")


def test_beside_a_block_the_damage_is_told_whatever_becomes_of_the_block(made: Artifact) -> None:
    (made.path / "vectors.bin").write_bytes(b"previous")
    with pytest.raises(ArtifactError, match=r"vectors\.bin"), verified([made], beside=True):
        pass
    with pytest.raises(ArtifactError, match=r"vectors\.bin"), verified([made], beside=True):
        raise ValueError("what the block stumbled over")
