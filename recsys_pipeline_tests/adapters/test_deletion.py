"""How versions go: killed at any moment nothing half-deleted looks whole, and what was left goes the next time."""

import dataclasses
import random
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.deletion import delete
from recsys_pipeline.adapters.store.retention import FRESH, collect
from recsys_pipeline_tests.adapters.stored_days import LATER, day_name, history_of, made


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


@pytest.mark.parametrize("moment", range(3))
def test_killed_at_any_moment_nothing_half_deleted_looks_whole(
    store: ArtifactStore, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history_of(store, 4, set(), {1})
    found = collect(store, keep_days=1, now=LATER)
    left = random.Random(moment).randrange(2 * len(found.doomed))
    steps = iter(range(left))

    def dying(function):
        def step(*arguments, **more):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return function(*arguments, **more)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying(Path.rename))
        patched.setattr(shutil, "rmtree", dying(shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            delete(store, [*found.doomed, *found.doomed])
    for node in read_graph(store).nodes.values():
        for version in node.versions:
            store.version(node.ref.key, node.ref.partition, version.name).verify()
    for key in {ref.key for ref in read_graph(store).nodes}:
        for partition in store.partitions(key):
            assert store.get(key, partition).has_all_files()
    delete(store, collect(store, keep_days=1, now=LATER).doomed)
    assert collect(store, keep_days=1, now=LATER).doomed == ()
    assert champion(store) is not None


def test_an_object_store_is_collected_too(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "cache")
    for text in ("first", "second"):
        made(store, "models/als", day_name(0), text=text)
    made(store, "models/als", day_name(9), text="new")
    delete(store, collect(store, keep_days=1, now=LATER).doomed)
    assert store.partitions("models/als") == [day_name(9)]
    assert [path for path in store.fs.find(store.root) if day_name(0) in path] == []
    assert not (store.local_root / "models/als" / day_name(0)).exists()


@pytest.fixture
def remote(tmp_path: Path) -> ArtifactStore:
    """An object store with a day that may go and one that stays."""
    store = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "cache")
    for number in (0, 9):
        made(store, "models/als", day_name(number), text="some")
    return store


def files_of(store: ArtifactStore, number: int) -> set[str]:
    return {path.rsplit("/", 1)[1] for path in store.fs.find(store.root) if day_name(number) in path}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_next_collection_finds_what_a_killed_one_left_on_an_object_store(
    remote: ArtifactStore, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, remove = iter(range(step)), remote.fs.rm_file

    def dying(path: str) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patched:
        patched.setattr(remote.fs, "rm_file", dying)
        with pytest.raises(KeyboardInterrupt):
            delete(remote, collect(remote, keep_days=1, now=LATER).doomed)
    left = [{"current", "manifest.json", "data.txt"}, {"manifest.json", "data.txt"}, {"data.txt"}]
    assert files_of(remote, 0) == left[step]
    found = collect(remote, keep_days=1, now=LATER)
    assert [one.place.partition for one in found.doomed] == [day_name(0)]
    assert delete(remote, found.doomed) == 1
    assert files_of(remote, 0) == set()
    assert files_of(remote, 9) == {"current", "manifest.json", "data.txt"}


def test_files_that_a_run_is_uploading_stay(remote: ArtifactStore) -> None:
    manifest = next(path for path in remote.fs.find(remote.root) if day_name(0) in path and "manifest" in path)
    remote.fs.rm_file(manifest)
    remote.fs.rm_file(manifest.rsplit("/", 2)[0] + "/current")
    written = remote.fs.modified(manifest.replace("manifest.json", "data.txt"))
    assert collect(remote, keep_days=1, now=written + FRESH).doomed == ()
    (old,) = collect(remote, keep_days=1, now=written + FRESH + timedelta(seconds=1)).doomed
    assert old.n_bytes > 0
    remote.fs.pipe_file(manifest.replace("manifest.json", "more.txt"), b"uploaded since")
    later = dataclasses.replace(old, left_before=remote.fs.modified(manifest.replace("manifest.json", "more.txt")))
    assert delete(remote, [later]) == 0
    assert files_of(remote, 0) == {"data.txt", "more.txt"}


def test_two_collections_at_once_do_no_harm(remote: ArtifactStore) -> None:
    found = collect(remote, keep_days=1, now=LATER)
    delete(remote, found.doomed)
    delete(remote, found.doomed)
    assert remote.partitions("models/als") == [day_name(9)]
