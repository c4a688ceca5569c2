"""Releases: what is written is read, a changed byte is named, and what is served is what was judged, and current."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.files import map_arrays
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving import id_table
from recsys_pipeline.core.serving.assemble import all_pairs, served_catalogue, served_items
from recsys_pipeline.core.serving.histories import Histories
from recsys_pipeline.core.serving.id_table import IdTable
from recsys_pipeline.core.serving.release import (
    CATALOGUE,
    FOLDED_IN,
    HOUR_US,
    LEARNED,
    MAPPED,
    Release,
    decayed_popularity,
)
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_document import DOCUMENT
from recsys_pipeline.core.serving.release_parts import write_release
from recsys_pipeline.core.serving.sealed import seal, unseal
from recsys_pipeline_tests.release_fixtures import (
    DAY,
    END_US,
    ITEM_IDS,
    LAST_ITEM,
    N_ITEMS,
    N_USERS,
    NEW_ITEM_IDS,
    OFF_SALE,
    USER_IDS,
    catalogue,
    fitted,
    model,
    parts,
    ratings,
    tiny_release,
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release") / "one")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# -- files ------------------------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read(release: Release) -> None:
    written = parts()
    assert (release.day, release.end_us, release.config) == (DAY, END_US, ReleaseConfig(k=5))
    assert (release.n_users, release.n_items, release.n_items_all) == (N_USERS, N_ITEMS, N_ITEMS + len(NEW_ITEM_IDS))
    np.testing.assert_array_equal(release.user_vectors, written.user_vectors)
    np.testing.assert_array_equal(release.item_vectors, written.item_vectors)
    np.testing.assert_array_equal(release.model.item_vectors(), model().item_vectors())
    assert release.catalogue.equals(written.catalogue)
    assert (
        release.priors.distributions["score"].values.tolist() == written.priors.distributions["score"].values.tolist()
    )
    assert release.index.report.recall == written.index.report.recall
    assert release.users.all_ids().to_pylist() == USER_IDS
    assert release.cold_start is None
    assert release.towers is None


def test_equal_parts_give_equal_bytes(release: Release, tmp_path: Path) -> None:
    write_release(tmp_path, parts())
    same = {path.relative_to(tmp_path): path.read_bytes() for path in files_of(tmp_path)}
    assert same == {path.relative_to(release.directory): path.read_bytes() for path in files_of(release.directory)}


def test_a_changed_byte_in_any_file_is_found_and_named(release: Release, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(release.directory, folder)
    for path in files_of(folder):
        good = path.read_bytes()
        for at in (0, len(good) // 2, len(good) - 1):
            bad = bytearray(good)
            bad[at] ^= 1
            path.write_bytes(bytes(bad))
            with pytest.raises(ArtifactError, match=str(path)):
                Release.load(folder)
        path.write_bytes(good)
    assert Release.load(folder).day == DAY


def test_a_missing_or_cut_file_is_named_without_reading_the_others(release: Release, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(release.directory, folder)
    vectors = folder / "users" / "vectors.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=str(vectors)):
        Release.load(folder, verify=False)
    vectors.unlink()
    with pytest.raises(ArtifactError, match=str(vectors)):
        Release.load(folder, verify=False)


def test_another_format_is_refused(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_pipeline.core.serving.release_document.FORMAT", 2)
    with pytest.raises(ArtifactError, match=r"release\.json is of format 1, this version reads 2"):
        Release.load(release.directory)


def test_the_store_may_add_its_manifest(release: Release, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(release.directory, folder)
    (folder / "manifest.json").write_text("{}")
    assert Release.load(folder).day == DAY
    assert "manifest.json" not in (folder / DOCUMENT).read_text()


def test_only_the_stores_own_manifest_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("model/manifest.json", "model/seal.json", "manifest.json"):
        (tmp_path / name).write_text("{}")
    seal(tmp_path, "seal.json", {})
    (tmp_path / "manifest.json").write_text("other")
    assert set(unseal(tmp_path, "seal.json")["files"]) == {"model/manifest.json", "model/seal.json"}
    (tmp_path / "model" / "manifest.json").write_text("no")
    with pytest.raises(ArtifactError, match=r"model/manifest\.json is missing or corrupt"):
        unseal(tmp_path, "seal.json")


def test_nothing_known_is_later_than_the_day() -> None:
    late = dataclasses.replace(ratings(), timestamp_us=ratings().timestamp_us + HOUR_US)
    with pytest.raises(DataError, match="later than the end of the day"):
        dataclasses.replace(parts(), histories=late)


def test_wishes_are_kept_and_nothing_is_written_where_there_are_none(release: Release, tmp_path: Path) -> None:
    none, some = ratings().take(np.empty(0, np.int64)), ratings().take(np.array([0, 3]))
    files = {path.relative_to(release.directory) for path in files_of(release.directory)}
    empty = tiny_release(tmp_path / "none", avoided=none)
    assert {path.relative_to(empty.directory) for path in files_of(empty.directory)} == files
    assert empty.avoided is None
    found = tiny_release(tmp_path / "some", avoided=some).avoided
    assert found is not None
    assert sorted(found.everything().item.tolist()) == sorted(some.item.tolist())
    assert not found.fitted.any(), "no model is fitted on a wish"


def test_parts_of_different_snapshots_are_refused() -> None:
    with pytest.raises(DataError, match="29 user ids, expected 30"):
        dataclasses.replace(parts(), user_ids=USER_IDS[1:])


# -- what is served ---------------------------------------------------------------------------------------------------


def test_users_are_folded_in_on_everything_known(release: Release) -> None:
    rows = release.user_rows(["user-3", "stranger", "user-0"])
    assert rows.tolist() == [3, -1, 0]
    history = release.history(rows)
    assert LAST_ITEM in history.item[history.user == 0], "rows that the fit did not see are known too"
    assert not (history.user == 1).any(), "a stranger has no history"
    np.testing.assert_allclose(
        release.model.fold_in(history)[[0, 2]], release.user_vectors[[3, 0]], rtol=1e-5, atol=1e-6
    )


def test_item_vectors_are_those_of_the_fit_or_folded_in_or_mapped(release: Release) -> None:
    kind = np.array(release.catalogue["kind"].to_pylist())
    learned = np.flatnonzero(kind == LEARNED)
    np.testing.assert_array_equal(release.item_vectors[learned], model().item_vectors()[learned])
    assert np.flatnonzero(kind == FOLDED_IN).tolist() == [LAST_ITEM]
    known = ratings()
    mine = known.take(known.item == LAST_ITEM)
    alone = dataclasses.replace(mine, item=np.zeros(len(mine), np.int32), n_items=1)
    np.testing.assert_allclose(release.item_vectors[LAST_ITEM], model().fold_in_items(alone)[0], rtol=1e-6)
    untouched = [*(np.bincount(known.item, minlength=N_ITEMS) == 0), *[True] * len(NEW_ITEM_IDS)]
    assert np.flatnonzero(kind == MAPPED).tolist() == np.flatnonzero(untouched).tolist()
    mean = model().item_vectors()[learned].mean(axis=0)
    np.testing.assert_allclose(release.item_vectors[-1], mean, rtol=1e-6)


def test_untouched_items_are_mapped_by_what_maps_them() -> None:
    asked: list[list[str]] = []

    def map_items(ids: list[str]) -> np.ndarray:
        asked.append(ids)
        return np.full((len(ids), 6), 7.0, np.float32)

    found = served_items(model(), ratings(), ITEM_IDS, catalogue(), map_items)
    assert asked == [[item for item, kind in zip(found.ids, found.kind, strict=True) if kind == MAPPED]]
    assert (found.vectors[-len(NEW_ITEM_IDS) :] == 7).all()


def test_what_the_catalogue_does_not_list_is_not_on_sale() -> None:
    items = served_items(model(), ratings(), ITEM_IDS, catalogue().slice(1))
    table = served_catalogue(items, ratings(), END_US, 168.0, catalogue().slice(1)).to_pandas().set_index("item_id")
    assert table.index[table["available"] == np.False_].tolist() == [ITEM_IDS[0], OFF_SALE]
    assert table.loc[ITEM_IDS[0], "title"] == ""


def test_ids_that_match_nothing_are_told_in_words() -> None:
    items = served_items(model(), ratings(), ITEM_IDS)
    strange = catalogue().set_column(
        0, "item_id", pa.array([f" {item}" for item in catalogue()["item_id"].to_pylist()])
    )
    with pytest.raises(
        DataError, match=rf"none of \d+ item ids of the events is in the catalogue \('{ITEM_IDS[0]}'.* ' "
    ):
        served_catalogue(items, ratings(), END_US, 168.0, strange)
    with pytest.raises(DataError, match=r"the catalogue has no item.*quarantine of dataset/items"):
        served_catalogue(items, ratings(), END_US, 168.0, catalogue().slice(0, 0))


def test_without_a_catalogue_everything_is_on_sale() -> None:
    items = served_items(model(), ratings(), ITEM_IDS)
    table = served_catalogue(items, ratings(), END_US, 168.0)
    assert items.ids == ITEM_IDS
    assert table.schema == CATALOGUE
    assert all(table["available"].to_pylist())


def test_popularity_counts_a_user_half_after_a_half_life() -> None:
    rows = Ratings(
        user=np.array([0, 1, 1], np.int32), item=np.array([0, 0, 1], np.int32), value=np.ones(3, np.float32),
        timestamp_us=END_US - np.array([0, 24, 48]) * HOUR_US, n_users=2, n_items=3,
    )  # fmt: skip
    now = decayed_popularity(rows, END_US, 24.0)
    assert now.tolist() == [1.5, 0.25, 0.0]
    np.testing.assert_allclose(decayed_popularity(rows, END_US + 12 * HOUR_US, 24.0), now * 0.5**0.5, rtol=1e-6)


def test_a_fold_gives_all_pairs_and_says_which_were_fitted() -> None:
    known = ratings()
    thirds = np.arange(len(known)) % 3
    fold = Fold(*(known.take(thirds == part) for part in range(3)))
    pairs, seen = all_pairs(fold)
    assert len(pairs) == len(known)
    assert sorted(pairs.item[~seen]) == sorted(fold.test.item)


# -- parts ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=4), unique=True, max_size=30), st.lists(st.text(max_size=4), max_size=30))
def test_ids_are_found_as_in_a_dictionary(ids: list[str], asked: list[str]) -> None:
    place = {name: row for row, name in enumerate(ids)}
    assert IdTable.of(ids).rows([*ids, *asked]).tolist() == [place.get(name, -1) for name in [*ids, *asked]]


def test_ids_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_table, "text_hashes", lambda ids: np.array([len(name) for name in ids], np.uint64))
    table = IdTable.of(["aa", "b", "cc", "dd"])
    assert table.rows(["dd", "aa", "xx", "b", "long"]).tolist() == [3, 0, -1, 1, -1]


def test_an_id_stands_once() -> None:
    with pytest.raises(DataError, match="id 'b' stands more than once"):
        IdTable.of(["a", "b", "b"])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), unique=True), st.lists(st.integers(-1, 4)))
def test_histories_of_some_users_are_their_rows(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    user, item = np.array(pairs, np.int32).reshape(-1, 2).T
    rows = Ratings(user, item, item.astype(np.float32), (7 - item).astype(np.int64), n_users=5, n_items=7)
    found = Histories.of(rows).of_users(np.array(asked, np.int64))
    expected = [
        (place, other)
        for place, name in enumerate(asked)
        for other in sorted(item[user == name].tolist(), reverse=True)
    ]
    assert list(zip(found.user.tolist(), found.item.tolist(), strict=True)) == expected
    assert found.n_users == len(asked)


def test_histories_say_what_was_fitted(release: Release) -> None:
    everything = release.histories.everything()
    assert len(everything) == len(ratings())
    assert set(everything.item[~release.histories.fitted]) == {LAST_ITEM}
    assert int(release.histories.fitted.sum()) == int(fitted().sum())


def test_histories_of_another_size_are_refused(release: Release) -> None:
    with pytest.raises(ArtifactError, match="holds no histories of 31 users"):
        Histories.load(release.directory / "histories", N_USERS + 1, N_ITEMS)


def test_arrays_are_mapped_and_a_cut_file_is_named(release: Release, tmp_path: Path) -> None:
    path = release.directory / "users" / "vectors.safetensors"
    assert not map_arrays(path)["vectors"].flags.owndata
    (tmp_path / "cut").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="cut holds no readable arrays"):
        map_arrays(tmp_path / "cut")
