"""What is served, opened from the store: the champion, the overlay that fits, and a list for every user."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.serving import overlays
from recsys_pipeline.adapters.serving.releases import promote_if_newer
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.list_file import write_lists
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.speed import lists
from recsys_pipeline_tests.adapters.release_artifacts import decided, promotable, recipe
from recsys_pipeline_tests.core.speed import events
from recsys_pipeline_tests.deployment import Deployment
from recsys_pipeline_tests.release_fixtures import DAY, END_US, USER_IDS, tiny_release

HOUR = "2026-01-06-00:00"
STRANGER, NEWCOMER = "somebody [else]", "newcomer"


def fill(store: ArtifactStore, directory: Path) -> Artifact:
    """A promoted release of the tiny marketplace, with the overlay of its first hour."""
    release = tiny_release(directory / "release")
    overlay = directory / "overlay"
    happened = [events.event(user, item, 5) for user in (USER_IDS[0], NEWCOMER) for item in ("item-1", "item-2")]
    events.overlay(overlay, release, happened)

    def copy_of(folder: Path) -> Callable[[Path], Built]:
        def build(staged: Path) -> Built:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            return Built({})

        return build

    made = store.build(recipe("serving/release", DAY), copy_of(release.directory))
    promote_if_newer(store, made, decided(store, made))
    store.build(recipe(overlays.KEY, HOUR, (made.manifest.ref,)), copy_of(overlay))
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    folder = tmp_path_factory.mktemp("served")
    found = ArtifactStore(str(folder / "store"), folder / "cache")
    fill(found, folder)
    return found


def test_lists_are_those_of_the_champion_with_its_overlay(store: ArtifactStore) -> None:
    served = Served.open(store)
    assert served.overlay is not None
    found = served.recommend([USER_IDS[0], NEWCOMER, USER_IDS[1], STRANGER], k=4)
    assert found.why == ["overlay", "overlay", "release", "popular"]
    for place, user in enumerate(found.user_ids):
        assert found.of(place) == recommend(served.release, served.overlay, [user], 4).of(0)
    assert not {"item-1", "item-2"} & set(found.of(1)), "taken within the hour"
    assert len(served.recommend([STRANGER]).of(0)) == served.release.config.k


def test_where_users_stand_is_told(store: ArtifactStore) -> None:
    served = Served.open(store)
    found = served.recommend([USER_IDS[0], USER_IDS[5], NEWCOMER, STRANGER])
    said = [one.told for one in lists.standings(served.release, served.overlay, found.user_ids, found.why)]
    assert said[0] == "known for 6 items, folded in again by the overlay"
    assert said[1] == "known for 5 items"
    assert said[2] == "folded in by the overlay, new since the release"
    assert said[3] == "a stranger, of whose taste nothing is known: what is popular"


def test_an_overlay_of_another_release_is_not_served(store: ArtifactStore, tmp_path: Path) -> None:
    copy = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
    shutil.copytree(store.root, copy.root)
    other = copy.build(recipe("serving/release", DAY, text="other"), _tiny)
    promote_if_newer(copy, other, decided(copy, other))
    served = Served.open(copy)
    assert (served.overlay, served.overlay_ref) == (None, None)
    assert served.release_ref == other.manifest.ref


def _tiny(directory: Path) -> Built:
    shutil.rmtree(directory)
    tiny_release(directory, end_us=END_US + 1)
    return Built({})


def test_nothing_served_says_the_way_out(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
    with pytest.raises(ArtifactError, match=r"nothing is served from .*: `recsys run batch_daily` makes"):
        Served.open(store)
    promote_if_newer(store, *promotable(store, DAY, good=False))
    with pytest.raises(ArtifactError, match=f"newest is of {DAY}; `recsys release list` says why"):
        Served.open(store)


def test_every_known_user_is_exported_in_batches(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, path, seen = Served.open(store), tmp_path / "lists.parquet", []
    monkeypatch.setattr(lists, "BATCH_USERS", 7)
    done = write_lists(served, path, 4, seen.append)
    assert seen == [7, 14, 21, 28, 30, 31], "the release's users, then the overlay's"
    table = pq.read_table(path)
    assert list(dict.fromkeys(table["user_id"].to_pylist())) == [*USER_IDS, NEWCOMER]
    found = served.recommend([*USER_IDS, NEWCOMER], 4)
    rows = [
        (user, position, item, score)
        for place, user in enumerate(found.user_ids)
        for position, (item, score) in enumerate(zip(found.of(place), found.scores[place].tolist(), strict=False))
    ]
    columns = table.select(["user_id", "position", "item_id", "score"]).to_pylist()
    assert [tuple(row.values()) for row in columns] == rows
    assert (done.n_users, done.n_rows, done.n_short) == (31, len(rows), 0)
    assert served.release_ref.digest.encode() in table.schema.metadata[b"release"]


def test_lists_that_are_short_are_counted(store: ArtifactStore, tmp_path: Path) -> None:
    served = Served.open(store)
    done = write_lists(served, tmp_path / "lists.parquet", 100)
    assert done.n_short == done.n_users == 31
    assert done.n_rows == pq.read_metadata(tmp_path / "lists.parquet").num_rows


def test_a_file_is_there_whole_or_as_it_was(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    path.write_bytes(b"of yesterday")
    (tmp_path / ".lists.parquet.elsewhere~1~ab").write_text("of a machine that may still write it")
    (tmp_path / f".lists.parquet.{socket.gethostname()}~{os.getpid()}~cd").write_text("cut: no process has its lock")

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lists(Served.open(store), path, 4, fail)
    assert path.read_bytes() == b"of yesterday"
    assert sorted(found.name for found in tmp_path.iterdir()) == [".lists.parquet.elsewhere~1~ab", "lists.parquet"]


@pytest.mark.parametrize(
    ("name", "said"), [("lists.csv", "ends in .parquet"), ("none/lists.parquet", "no folder .*none, make it first")]
)
def test_a_path_that_cannot_be_is_told_before_anything_is_made(
    store: ArtifactStore, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        write_lists(Served.open(store), tmp_path / name)


def test_the_commands_print_titles_and_where_users_stand(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "home")
    assert "recsys run batch_daily" in deployment.recsys("recommend", USER_IDS[0]).text
    with deployment.active():
        fill(deployment.store, tmp_path)
    shown = deployment.recsys("recommend", USER_IDS[0], STRANGER, "-k", "3")
    assert shown.code == 0
    assert f"release of {DAY}" in shown.text
    assert f"overlay of the hour {HOUR}" in shown.text
    assert f"{USER_IDS[0]}: known for 6 items" in shown.text
    assert f"{STRANGER}: a stranger" in shown.text
    assert "Title of item-" in shown.text
    assert "popularity" in shown.text
    written = deployment.recsys("export", "lists", "--to", str(tmp_path / "lists.parquet"), "-k", "3")
    assert f"Written {tmp_path}/lists.parquet: 31 lists, 93 rows" in written.text
