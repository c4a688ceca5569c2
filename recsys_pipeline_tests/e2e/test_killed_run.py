"""A run that is killed at any moment leaves no half-written artifact, and the next run completes."""

import random
import signal
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME
from recsys_pipeline_tests.deployment import DAY, Deployment, versions
from recsys_pipeline_tests.processes import die_before_touch, exit_code

KEYS = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "models/popularity", "models/random")


def run_until(home: Path, last_touch: int, count_file: Path | None = None) -> None:
    """Materialize the early assets of a day, and die by SIGKILL just before the store is touched that many times."""
    touches = die_before_touch(last_touch, home / "data" / "store")
    assert Deployment(home).materialize(*KEYS).success
    if count_file is not None:
        count_file.write_text(str(touches()))


@pytest.fixture(scope="module")
def touches(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often an undisturbed run touches the store."""
    home = tmp_path_factory.mktemp("undisturbed")
    assert exit_code(run_until, home, 0, home / "count") == 0
    return int((home / "count").read_text())


@pytest.mark.parametrize("moment", [0, 1, 2, 3])
def test_a_killed_run_leaves_whole_artifacts_only(
    first_day: Deployment, deployment: Deployment, touches: int, moment: int
) -> None:
    # One random moment in each quarter of the run: ingestion, commits of days, snapshot, fold and models.
    last_touch = random.Random(moment).randrange(touches * moment // 4 + 1, touches * (moment + 1) // 4)
    assert exit_code(run_until, deployment.home, last_touch) == -signal.SIGKILL
    _assert_whole(Path(deployment.store.root))

    assert deployment.materialize(*KEYS).success
    _assert_whole(Path(deployment.store.root))
    assert list(Path(deployment.store.root).glob(".staging/*")) == [], "what the dead process left is cleared away"
    digests, undisturbed = deployment.digests(DAY), first_day.digests(DAY)
    assert digests == {key: undisturbed[key] for key in KEYS}
    days = deployment.store.partitions("dataset/interactions")
    assert days == first_day.store.partitions("dataset/interactions")
    for day in days:
        assert deployment.digests(day)["dataset/interactions"] == first_day.digests(day)["dataset/interactions"]


def _assert_whole(root: Path) -> None:
    for artifact in versions(root):
        artifact.verify()
    for pointer in root.rglob(POINTER_NAME):
        assert (pointer.parent / pointer.read_text() / MANIFEST_NAME).is_file(), f"{pointer} points nowhere"
    folders = {path for path in root.glob("*/*/*/*") if path.is_dir() and ".staging" not in path.parts}
    assert {path for path in folders if not (path / MANIFEST_NAME).is_file()} == set(), "half-written artifacts"
