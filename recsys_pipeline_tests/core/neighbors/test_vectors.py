"""The vector table: what it refuses, and that it reads back what it wrote."""

from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import ArtifactError, ModelError
from recsys_pipeline.core.neighbors.vectors import VectorTable


def test_round_trip_is_exact(tmp_path: Path) -> None:
    table = VectorTable(["b", "ä", ""], np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    table.save(tmp_path / "vectors")
    again = VectorTable.load(tmp_path / "vectors")
    assert again.ids == table.ids
    np.testing.assert_array_equal(again.vectors, table.vectors)
    assert (len(again), again.dim) == (3, 4)


def test_defects_are_named() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(ModelError, match="id 'a' stands more than once"):
        VectorTable(["a", "b", "a"], vectors)
    with pytest.raises(ModelError, match="2 ids for 3 vectors"):
        VectorTable(["a", "b"], vectors)
    broken = vectors.copy()
    broken[2, 0] = np.inf
    with pytest.raises(ModelError, match=r"'c' \(row 2\) is not finite"):
        VectorTable(["a", "b", "c"], broken)


def test_missing_or_cut_files_are_artifact_errors(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"vectors\.safetensors holds no readable arrays"):
        VectorTable.load(tmp_path)
    VectorTable(["a"], np.ones((1, 2), np.float32)).save(tmp_path)
    path = tmp_path / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=r"vectors\.safetensors holds no readable arrays"):
        VectorTable.load(tmp_path)
