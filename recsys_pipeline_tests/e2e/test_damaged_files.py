"""A flipped byte in anything stored stops what would be made of it, names the file, and says how to mend it."""

import shutil
from pathlib import Path

import pytest

from recsys_pipeline_tests.deployment import DAY, Deployment, failure

EARLIER = "2026-01-05"


@pytest.fixture
def damaged(first_day: Deployment, tmp_path: Path) -> Deployment:
    """A copy of the first day's store, to be damaged."""
    shutil.copytree(first_day.home / "data" / "store", tmp_path / "home" / "data" / "store")
    return Deployment(tmp_path / "home")


def flip(path: Path) -> None:
    """One bit, in the middle: the size stays, and nothing but a digest tells."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("key", "partition", "file", "made_of_it"),
    [
        ("folds/prequential", DAY, "train.parquet", "models/popularity"),
        ("dataset/interactions", EARLIER, "interactions.parquet", "folds/prequential"),
        ("dataset/snapshot", DAY, "users.parquet", "folds/prequential"),
    ],
)
def test_it_stops_what_would_be_made_of_it_and_is_mended_as_the_message_says(
    damaged: Deployment, key: str, partition: str, file: str, made_of_it: str
) -> None:
    before, path = damaged.digests(DAY)[made_of_it], damaged.store.get(key, partition).path / file
    flip(path)
    shutil.rmtree(damaged.store.get(made_of_it, DAY).path)  # so that it must be made again
    told = failure(damaged.materialize(made_of_it))
    assert f"{path} is missing or corrupt" in told
    assert f"materialize {key} {partition} again" in told

    assert damaged.materialize(key, day=partition).success
    assert damaged.materialize(made_of_it).success
    assert damaged.digests(DAY)[made_of_it] == before
