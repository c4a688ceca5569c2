"""The store: atomic versions, reuse by recipe, corruption named, remote stores alike."""

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Manifest, Recipe, to_json
from recsys_pipeline.adapters.store.processes import Processes
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef


def recipe(partition: str = "2026-01-01", **config: object) -> Recipe:
    return Recipe("models/als", partition, (ArtifactRef("folds/x", partition, "d" * 64),), config, "v1", {"numpy": "2"})


def write(text: str):
    def build(directory: Path) -> Built:
        (directory / "part").mkdir()
        (directory / "part" / "data.txt").write_text(text)
        return Built({"rows": len(text)})

    return build


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


def test_what_is_built_can_be_read_back(store: ArtifactStore, tmp_path: Path) -> None:
    built = store.build(recipe(reg=0.1), write("hello"))
    fresh_reader = store if store.is_local else ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "other")
    read = fresh_reader.get("models/als", "2026-01-01")
    assert (read.path / "part" / "data.txt").read_text() == "hello"
    assert read.manifest == built.manifest
    assert read.manifest.recipe.inputs[0].key == "folds/x"
    read.verify()


def test_equal_content_has_an_equal_digest_whatever_the_recipe(store: ArtifactStore) -> None:
    one = store.build(recipe(reg=0.1), write("same"))
    two = store.build(recipe(reg=0.2), write("same"))
    assert one.manifest.digest == two.manifest.digest
    assert one.path != two.path
    assert one.path.exists()


def test_only_the_same_recipe_is_reusable(store: ArtifactStore) -> None:
    store.build(recipe(reg=0.1), write("x"))
    found = store.reusable(recipe(reg=0.1))
    assert found is not None
    assert found.reused
    assert store.reusable(recipe(reg=0.2)) is None
    assert store.reusable(recipe("2026-01-02", reg=0.1)) is None


def test_a_failed_build_changes_nothing(store: ArtifactStore) -> None:
    store.build(recipe(reg=0.1), write("good"))

    def fail(directory: Path) -> Built:
        (directory / "half.txt").write_text("half")
        raise ValueError("disk on fire")

    with pytest.raises(ValueError, match="fire"):
        store.build(recipe(reg=0.2), fail)
    assert (store.get("models/als", "2026-01-01").path / "part" / "data.txt").read_text() == "good"
    assert not list(store.staging.iterdir())


def test_folders_of_dead_processes_are_swept_and_live_ones_kept(store: ArtifactStore) -> None:
    store.staging.mkdir(parents=True)
    here = socket.gethostname()
    dead = store.staging / f"{here}~999999999~abc"
    mine = store.staging / store.processes.new_name()
    elsewhere = store.staging / "pod-7~999999999~abc"
    long_ago = store.staging / "pod-8~999999999~abc"
    for folder in (dead, mine, elsewhere, long_ago):
        folder.mkdir()
    os.utime(long_ago, (0, 0))
    with store.staged():
        pass
    swept = {folder.name for folder in (dead, mine, elsewhere, long_ago) if not folder.exists()}
    assert swept == {dead.name, long_ago.name}, "a process of another machine may be alive whatever its number"


HOLDS = (
    "import os, sys; from pathlib import Path\n"
    "from recsys_pipeline.adapters.store.artifact_store import ArtifactStore\n"
    "os.getpid = lambda: int(sys.argv[2])\n"
    "with ArtifactStore(sys.argv[1], cache=Path(sys.argv[1]) / 'cache').staged() as staged:\n"
    "    print(staged, flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize("process_id", [4_999_999, os.getpid()], ids=["another", "the same"])
def test_a_container_of_the_same_host_name_keeps_what_it_writes_until_it_is_killed(
    tmp_path: Path, process_id: int
) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path), str(process_id)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    staged = Path(other.stdout.readline().strip())
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    with store.staged():
        assert staged.is_dir(), "the number of a process that cannot be seen from here says nothing"
    other.kill()
    other.wait()
    with store.staged() as mine:
        assert [path.name for path in store.staging.iterdir()] == [mine.name], "the kernel let go of its lock"
    assert len(list(store.processes.folder.iterdir())) == 1, "and its file goes too"


def test_a_process_whose_folder_was_deleted_is_known_by_a_new_token(store: ArtifactStore) -> None:
    with store.staged() as first:
        pass
    shutil.rmtree(store.processes.folder)
    with store.staged() as second:
        assert not store.processes.is_abandoned(second.name, second)
        assert store.processes.is_abandoned(first.name, second)


def test_partitions_and_latest(store: ArtifactStore) -> None:
    assert store.partitions("models/als") == []
    assert store.latest("models/als", before="2026-01-05") is None
    for day in ("2026-01-03", "2026-01-01"):
        store.build(recipe(day), write(day))
    assert store.partitions("models/als") == ["2026-01-01", "2026-01-03"]
    latest = store.latest("models/als", before="2026-01-03")
    assert latest is not None
    assert latest.manifest.recipe.partition == "2026-01-01"


def test_a_missing_artifact_says_what_to_do(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match="models/als has no artifact for 2026-01-01: materialize"):
        store.get("models/als", "2026-01-01")


def test_a_corrupt_byte_is_found_and_named_and_rebuilding_mends_it(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    artifact = store.build(recipe(), write("precious"))
    (artifact.path / "part" / "data.txt").write_text("preciouS")
    with pytest.raises(ArtifactError, match=r"data\.txt is missing or corrupt"):
        artifact.verify()
    mended = store.build(recipe(), write("precious"))
    assert mended.path == artifact.path
    mended.verify()


def test_a_changed_byte_anywhere_in_a_manifest_is_found_and_named(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    path = store.build(recipe(reg=0.5, sizes={10: 1, 9: 2}), write("precious")).path / "manifest.json"
    whole = path.read_bytes()
    for at in range(len(whole)):
        if whole[at : at + 1].isspace():
            continue  # the layout means nothing
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        with pytest.raises(
            ArtifactError, match=r"manifest\.json is no manifest .*materialize models/als 2026-01-01 again"
        ):
            store.get("models/als", "2026-01-01")


def test_a_manifest_from_before_checksums_is_read(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    made = store.build(recipe(), write("precious"))
    path = made.path / "manifest.json"
    raw = json.loads(path.read_text())
    assert raw.pop("checksum")
    path.write_text(json.dumps(raw))
    assert store.get("models/als", "2026-01-01").manifest == made.manifest


@pytest.mark.parametrize("damage", [b"x", b"\xe9", b""])
def test_a_damaged_pointer_is_named_and_making_the_partition_again_mends_it(tmp_path: Path, damage: bytes) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    store.build(recipe(), write("precious"))
    pointer = tmp_path / "models/als/2026-01-01/current"
    pointer.write_bytes(damage and damage + pointer.read_bytes()[1:])
    with pytest.raises(
        ArtifactError, match=f"{pointer} points to .* which is gone: materialize models/als 2026-01-01 again"
    ):
        store.get("models/als", "2026-01-01")
    assert store.reusable(recipe()) is None
    store.build(recipe(), write("precious"))
    store.get("models/als", "2026-01-01").verify()


def test_what_a_killed_writer_of_a_pointer_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    dead = f"{socket.gethostname()}~999999999~abc"
    monkeypatch.setattr(Processes, "new_name", lambda _: dead)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write_file("serving/champion.json", b"{}")
    assert [path.name for path in tmp_path.rglob("*~*")] == [dead]
    monkeypatch.undo()
    with store.staged():
        assert [path for path in store.staging.iterdir() if path.is_file()] == []


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_second_making_with_another_measurement_is_told_as_it_is_stored(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")

    def measured(text: str):
        return lambda directory: Built(write(text)(directory).metrics, digest="d" * 64)

    first = store.build(recipe(), measured("5 ms"))
    again = store.build(recipe(), measured("7 milliseconds"))
    assert again.path == first.path
    again.verify()
    assert again.manifest == store.get("models/als", "2026-01-01").manifest


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json is no manifest"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_manifest_is_plain_sorted_json(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    artifact: Artifact = store.build(recipe(reg=0.5), write("x"), run_id="run-1")
    raw = json.loads((artifact.path / "manifest.json").read_text())
    assert raw["recipe"]["config"] == {"reg": 0.5}
    assert raw["run_id"] == "run-1"
    assert raw["files"]["part/data.txt"]["bytes"] == 1


@pytest.mark.parametrize("damage", ["folder", "file", "cut", "flipped", "manifest"])
def test_a_version_that_lost_something_is_not_reused_and_can_be_made_again(tmp_path: Path, damage: str) -> None:
    store = ArtifactStore(str(tmp_path), cache=tmp_path / "cache")
    artifact = store.build(recipe(), write("precious"))
    data = artifact.path / "part" / "data.txt"
    if damage == "folder":
        shutil.rmtree(artifact.path)
    elif damage == "cut":
        data.write_text("prec")
    elif damage == "flipped":
        data.write_text("preciouz")
    else:
        (data if damage == "file" else artifact.path / "manifest.json").unlink()
    assert store.reusable(recipe()) is None
    store.build(recipe(), write("precious")).verify()
    assert store.reusable(recipe()) is not None


def test_a_version_that_is_gone_from_a_remote_store_is_named(tmp_path: Path) -> None:
    writer = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "cache")
    artifact = writer.build(recipe(), write("x"))
    writer.fs.rm(f"{writer.root}/models/als/2026-01-01/{artifact.manifest.version}", recursive=True)
    reader = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "other")
    with pytest.raises(ArtifactError, match="is gone: materialize models/als 2026-01-01 again"):
        reader.get("models/als", "2026-01-01")


def test_a_version_that_is_read_while_it_comes_is_read_whole_later(tmp_path: Path) -> None:
    writer = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "cache")
    made = writer.build(recipe(), write("precious"))
    manifest = f"{writer.root}/models/als/2026-01-01/{made.manifest.version}/manifest.json"
    content = writer.fs.cat_file(manifest)
    writer.fs.rm_file(manifest)
    reader = ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "other")
    with pytest.raises(ArtifactError, match="is gone"):
        reader.get("models/als", "2026-01-01")
    writer.fs.pipe_file(manifest, content)
    reader.get("models/als", "2026-01-01").verify()


def test_a_rival_that_commits_the_same_version_first_does_no_harm(store: ArtifactStore) -> None:
    def build_twice(directory: Path) -> Built:
        store.build(recipe(), write("same"))
        return write("same")(directory)

    def overtaken(staged: Path, path: Path) -> None:
        if not path.exists():
            shutil.copytree(staged, path)
        move(staged, path)

    store.build(recipe(), build_twice).verify()
    move = store._move
    store._move = overtaken  # the rival's rename falls between our look and our rename
    store.build(recipe(reg=2), write("same")).verify()
    assert not list(store.staging.iterdir())


def test_a_file_named_like_the_manifest_in_a_folder_is_a_file_like_others(store: ArtifactStore, tmp_path: Path) -> None:
    def build(directory: Path) -> Built:
        (directory / "step").mkdir()
        (directory / "step" / "manifest.json").write_text("{}")
        return Built({})

    store.build(recipe(), build)
    reader = store if store.is_local else ArtifactStore(f"memory://{tmp_path}", cache=tmp_path / "other")
    read = reader.get("models/als", "2026-01-01")
    assert list(read.manifest.files) == ["step/manifest.json"]
    read.verify()


def test_what_another_process_wrote_is_seen_at_once(store: ArtifactStore) -> None:
    assert store.fs.storage_options.get("use_listings_cache") is False
    assert store.partitions("models/als") == []
    ArtifactStore(store.fs.unstrip_protocol(store.root), store.local_root).build(recipe(), write("x"))
    assert store.partitions("models/als") == ["2026-01-01"]


def test_manifests_hold_plain_values_only() -> None:
    mixed = {"b": np.float32(0.5), "a": date(2026, 1, 1), "p": Path("x/y")}
    assert to_json(mixed) == '{"a": "2026-01-01", "b": 0.5, "p": "x/y"}'
    with pytest.raises(TypeError, match="a manifest cannot hold"):
        to_json({"users": {"b", "a"}})


def test_what_is_put_back_says_so_and_keeps_when_it_was_made(tmp_path: Path) -> None:
    """Made again, it took what it took now; its first making stays on record."""
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
    recipes = [Recipe("models/als", "2026-01-05", (), {"reg": reg}, "v1", {}) for reg in (1, 2)]

    def commit(recipe: Recipe, seconds: float) -> Artifact:
        with store.staged() as staged:
            (staged / "data.txt").write_text(str(recipe.config))
            return store.commit(staged, recipe, Built({}), seconds=seconds)

    first, _, again = commit(recipes[0], 40.7), commit(recipes[1], 1.0), commit(recipes[0], 3.0)
    assert (first.seconds, first.was_there) == (40.7, False)
    assert (again.seconds, again.was_there, again.manifest.seconds) == (3, True, 40.7)
    reused = store.reusable(recipes[0])
    assert reused is not None
    assert (reused.reused, reused.seconds, reused.manifest.seconds) == (True, 0.0, 40.7)


def test_what_an_experiment_took_the_place_of_is_found_again(store: ArtifactStore) -> None:
    own = store.build(recipe(reg=0.1), write("the day's own"))
    store.build(recipe(reg=0.2), write("an experiment"))
    found = store.reusable(recipe(reg=0.1))
    assert found is not None
    assert (found.reused, found.manifest.digest) == (True, own.manifest.digest)
    assert store.get("models/als", "2026-01-01").path.name == own.path.name, "it is current again"


def test_what_is_found_again_is_intact(store: ArtifactStore) -> None:
    own = store.build(recipe(reg=0.1), write("the day's own"))
    experiment = store.build(recipe(reg=0.2), write("an experiment"))
    (own.path / "part" / "data.txt").write_text("damaged")
    assert store.reusable(recipe(reg=0.1)) is None
    assert store.get("models/als", "2026-01-01").path.name == experiment.path.name, "nothing was moved"


def test_a_manifest_says_under_which_file_of_settings_it_was_made(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache", settings_digest="a1b2")
    made = store.build(recipe(reg=0.1), write("x"), origins={"reg": "default"})
    assert (made.manifest.settings_digest, made.manifest.origins) == ("a1b2", {"reg": "default"})
    assert made.manifest.recipe == recipe(reg=0.1), "the recipe holds what it came to"
