"""An export in shards: the same table as in one piece, and nothing that is there is embedded again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.neighbors.exports import export_vectors
from recsys_pipeline.core.neighbors.vectors import VectorTable

IDS = [f"p{row:02d}" for row in range(23)]
VECTORS = np.random.default_rng(0).normal(size=(23, 4)).astype(np.float32)


class Embedding:
    """Gives the vectors, remembers for which rows, and fails at a row."""

    def __init__(self, fails_at: int = 99) -> None:
        self.fails_at, self.asked = fails_at, []

    def __call__(self, rows: slice) -> np.ndarray:
        if rows.start <= self.fails_at < rows.stop:
            raise KeyboardInterrupt
        self.asked.append(rows.start)
        return VECTORS[rows]


@pytest.mark.parametrize("shard_rows", [1, 5, 23, 100])
def test_shards_make_the_table(tmp_path: Path, shard_rows: int) -> None:
    table = export_vectors(IDS, Embedding(), tmp_path, shard_rows)
    assert table.ids == IDS
    np.testing.assert_array_equal(table.vectors, VECTORS)


def test_no_rows_have_vectors_of_the_right_size(tmp_path: Path) -> None:
    assert export_vectors([], lambda rows: VECTORS[rows][:0], tmp_path).dim == 4


def test_an_interrupted_export_keeps_its_finished_shards(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        export_vectors(IDS, Embedding(fails_at=12), tmp_path, 5)
    rest = Embedding()
    np.testing.assert_array_equal(export_vectors(IDS, rest, tmp_path, 5).vectors, VECTORS)
    assert rest.asked == [10, 15, 20]


def test_torn_unfinished_and_foreign_shards_are_made_again(tmp_path: Path) -> None:
    export_vectors(IDS, Embedding(), tmp_path, 5)
    (tmp_path / "000000000" / "vectors.safetensors").write_bytes(b"torn")
    (tmp_path / "000000005").rename(tmp_path / "000000005.part")
    VectorTable(["other"], VECTORS[:1]).save(tmp_path / "000000010")
    again = Embedding()
    np.testing.assert_array_equal(export_vectors(IDS, again, tmp_path, 5).vectors, VECTORS)
    assert again.asked == [0, 5, 10]


@given(order=st.permutations(range(len(IDS))))
def test_the_digest_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    table = VectorTable(IDS, VECTORS)
    assert VectorTable([IDS[row] for row in order], VECTORS[order]).digest() == table.digest()


def test_the_digest_changes_with_ids_and_vectors() -> None:
    swapped = VectorTable([IDS[1], IDS[0], *IDS[2:]], VECTORS)
    assert len({VectorTable(IDS, VECTORS).digest(), swapped.digest(), VectorTable(IDS, VECTORS + 1).digest()}) == 3
