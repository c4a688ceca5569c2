"""Real splits come in with the sizes that their papers state."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.splits.files import read_interactions, read_split

pytestmark = pytest.mark.data


def needed(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not in RECSYS_TEST_DATA")
    return folder


def test_adjacency_lists_of_gowalla(test_data: Path) -> None:
    folder = needed(test_data / "gowalla")
    found = read_split([folder / "train.txt.gz"], folder / "test.txt.gz")
    assert (len(found.train), len(found.test)) == (810_128, 217_242)
    assert (found.train.n_users, found.train.n_items) == (29_858, 40_981)


def test_sequences_of_sasrec(test_data: Path) -> None:
    found = read_interactions(needed(test_data / "ml-1m") / "sasrec_ml-1m.txt.gz")
    assert (len(found.ratings), found.n_repeated) == (999_611, 0)
    assert (found.ratings.n_users, found.ratings.n_items) == (6_040, 3_416)
    assert found.file.layout.knows_order


def test_negatives_of_ncf(test_data: Path) -> None:
    folder = needed(test_data / "ncf-ml1m")
    names = ("ml-1m.train.rating.no_ts.tsv.gz", "ml-1m.test.rating", "ml-1m.test.negative.gz")
    train, test, negatives = (folder / name for name in names)
    found = read_split([train], test, negatives=negatives)
    assert (len(found.train), len(found.test), found.train.n_items) == (994_169, 6_040, 3_706)
    assert found.negatives is not None
    assert len(found.negatives) == 99 * 6_040


def test_colons_of_movietweetings(test_data: Path) -> None:
    path = needed(test_data / "movietweetings") / "daily" / "ratings-2013-10-24.dat.gz"
    found = read_interactions(path)
    assert len(found.ratings) == 134_699
    assert found.file.layout.time_unit == "s"
