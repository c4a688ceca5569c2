"""Lists: the fast way and its twin agree, and what must not be shown is not."""

import itertools
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.neighbors.index import IndexConfig, build_index
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving import recommend as module
from recsys_pipeline.core.serving.recommend import recommend, recommend_exactly
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline_tests.overlay_double import OVERLAY, Changes
from recsys_pipeline_tests.release_fixtures import (
    ITEM_IDS,
    N_ITEMS,
    N_USERS,
    NEW_ITEM_IDS,
    OFF_SALE,
    USER_IDS,
    fitted,
    model,
    parts,
    ratings,
    tiny_release,
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def hidden_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose user 0 asked not to be shown items 1 and 10, and whose last user looked and took nothing."""
    known, kept = ratings(), ratings().user != N_USERS - 1
    known = known.take(kept)
    wishes = Ratings(
        np.array([0, 0], np.int32), np.array([1, 10], np.int32), np.ones(2, np.float32), known.timestamp_us[:2],
        N_USERS, N_ITEMS,
    )  # fmt: skip
    return tiny_release(
        tmp_path_factory.mktemp("hidden"), histories=known, user_vectors=model().fold_in(known),
        fitted=fitted()[kept], avoided=wishes,
    )  # fmt: skip


EVERYBODY = [*USER_IDS, "stranger", "newcomer"]


@pytest.mark.parametrize("overlay", [None, OVERLAY], ids=["release", "overlay"])
@pytest.mark.parametrize("k", [1, 5, 50])
@pytest.mark.parametrize("deep", [0, 1000], ids=["everything", "index"])
def test_the_twin_agrees(
    release: Release, overlay: Changes | None, k: int, deep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEEP", deep)
    monkeypatch.setattr(module, "SLACK", 1)
    fast, plain = recommend(release, overlay, EVERYBODY, k), recommend_exactly(release, overlay, EVERYBODY, k)
    assert fast.item_ids.tolist() == plain.item_ids.tolist()
    np.testing.assert_array_equal(fast.scores, plain.scores)
    assert fast.why == plain.why


def test_nothing_that_a_user_has_or_that_is_off_sale_is_shown(release: Release) -> None:
    found, known = recommend(release, None, USER_IDS, 24), ratings()
    for user in range(len(USER_IDS)):
        has = {ITEM_IDS[item] for item in known.item[known.user == user]}
        assert set(found.of(user)) == {*ITEM_IDS, *NEW_ITEM_IDS} - has - {OFF_SALE}


def test_strangers_get_what_is_popular(release: Release) -> None:
    shelf = release.catalogue.to_pandas().query("available").sort_values("popularity", ascending=False, kind="stable")
    found = recommend(release, None, ["stranger"], 5)
    assert found.of(0) == shelf["item_id"].tolist()[:5]
    assert found.why == ["popular"]
    assert recommend(release, OVERLAY, ["stranger"], 2).of(0) == ["item-5", "fresh-1"]


def test_an_overlay_changes_what_it_names_alone(release: Release) -> None:
    found = recommend(release, OVERLAY, EVERYBODY, 30)
    assert found.why[-1] == "overlay"
    assert found.why[4] == "overlay"
    for user, name in enumerate(EVERYBODY):
        shown = found.of(user)
        assert not OVERLAY.unavailable & set(shown)
        assert {"fresh-0", "fresh-1"} <= set(shown) or found.why[user] == "popular"
        assert not any((name, item) in OVERLAY.pairs for item in shown)
    untouched = Changes(decay=0.25)
    assert (
        recommend(release, untouched, USER_IDS, 5).item_ids.tolist()
        == recommend(release, None, USER_IDS, 5).item_ids.tolist()
    )


NAMES = [*ITEM_IDS[:6], ITEM_IDS[10], OFF_SALE, *NEW_ITEM_IDS[:2], "fresh-0", "fresh-1", "not-there"]
PEOPLE = ["user-0", "user-1", USER_IDS[-1], "stranger", "newcomer"]
SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=6, max_size=6)


@st.composite
def overlays(draw: st.DrawFn) -> Changes:
    """Any overlay over the tiny release; equal scores, and items both gone and back, are among them."""
    users = draw(st.lists(st.sampled_from(PEOPLE), unique=True))
    items = draw(st.lists(st.sampled_from(["fresh-0", "fresh-1"]), unique=True))
    vectors = [np.array([draw(SCORES) for _ in ids], np.float32).reshape(-1, 6) for ids in (users, items)]
    some = st.frozensets(st.sampled_from(NAMES[:-3]), max_size=4)
    pairs = draw(st.frozensets(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(NAMES)), max_size=30))
    counts = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 1.0, 7.5]), max_size=6))
    decay = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return Changes(users, vectors[0], items, vectors[1], pairs, draw(some), draw(some), counts, decay)


@given(overlay=overlays(), k=st.integers(1, 30), deep=st.sampled_from([0, 1000]), slack=st.integers(0, 2))
def test_the_twin_agrees_whatever_the_overlay(
    hidden_release: Release, overlay: Changes, k: int, deep: int, slack: int
) -> None:
    with patch.multiple(module, DEEP=deep, SLACK=slack):
        fast = recommend(hidden_release, overlay, PEOPLE, k)
    plain = recommend_exactly(hidden_release, overlay, PEOPLE, k)
    assert fast.why == plain.why
    assert fast.item_ids.tolist() == plain.item_ids.tolist()
    np.testing.assert_array_equal(fast.scores, plain.scores)
    for user, name in enumerate(PEOPLE):
        shown = fast.of(user)
        assert len(set(shown)) == len(shown) == len(plain.of(user))
        assert not {(name, item) for item in shown} & overlay.pairs
        assert not overlay.unavailable & set(shown)


def test_a_stranger_is_not_shown_again_what_they_took(release: Release) -> None:
    best = recommend(release, None, ["stranger"], 6).of(0)
    overlay = Changes(pairs=frozenset(("stranger", item) for item in best[:3]))
    found = recommend(release, overlay, ["stranger", "another"], 3)
    assert found.of(0) == best[3:]
    assert found.of(1) == best[:3], "the list of others stays"


def test_what_a_user_asked_not_to_see_is_not_shown(hidden_release: Release, release: Release) -> None:
    """Item 10 would be theirs: they have the first half of the items, and were shown the second."""
    without, with_wish = (recommend(found, None, ["user-0", "user-2"], 24) for found in (release, hidden_release))
    assert "item-10" in without.of(0)
    assert not {"item-1", "item-10"} & set(with_wish.of(0))
    assert with_wish.of(1) == without.of(1), "one user's wish is nobody else's"


def test_a_user_who_only_looked_gets_what_is_popular(hidden_release: Release) -> None:
    found = recommend(hidden_release, None, [USER_IDS[-1], "stranger"], 5)
    assert found.why == ["popular", "popular"]
    assert found.of(0) == found.of(1)


def test_where_filters_leave_too_few_all_items_are_looked_at(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLACK", 0)
    best = recommend(release, None, ["user-2"], 8).of(0)
    overlay = Changes(pairs=frozenset(("user-2", item) for item in best))
    found = recommend(release, overlay, ["user-2"], 5)
    assert len(found.of(0)) == 5
    assert not set(best) & set(found.of(0))


# -- equals -----------------------------------------------------------------------------------------------------------


def equals(directory: Path, order: np.ndarray) -> Release:
    """The tiny release with items of four vectors and two popularities, their rows in any order."""
    whole = parts()
    rng = np.random.default_rng(7)
    few = rng.normal(size=(4, whole.item_vectors.shape[1])).astype(np.float32)
    vectors = few[rng.integers(0, 4, whole.catalogue.num_rows)]
    popularity = pa.array(rng.integers(1, 3, len(vectors)), pa.float32())
    table = whole.catalogue.set_column(whole.catalogue.schema.get_field_index("popularity"), "popularity", popularity)
    table, vectors = table.take(pa.array(order)), vectors[order]
    on_sale = np.flatnonzero(table["available"].to_numpy())
    shelf = VectorTable([table["item_id"][int(row)].as_py() for row in on_sale], vectors[on_sale])
    index = build_index(shelf, whole.user_vectors, IndexConfig(), seed=0)
    return tiny_release(directory, item_vectors=vectors, catalogue=table, index=index)


@pytest.mark.parametrize("slack", [0, 32])
def test_the_twin_agrees_where_many_items_are_as_good(
    slack: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index keeps any of equals at its cut, and products of matrices may tell equal vectors apart."""
    release = equals(tmp_path / "r", np.arange(24))
    monkeypatch.setattr(module, "SLACK", slack)
    overlay = Changes(["newcomer"], np.ones((1, 6), np.float32), ["fresh"], release.item_vectors[:1])
    for changes, k in itertools.product((None, overlay), (1, 3, 10)):
        plain = recommend_exactly(release, changes, EVERYBODY, k)
        assert recommend(release, changes, EVERYBODY, k).item_ids.tolist() == plain.item_ids.tolist()
        for user, name in enumerate(EVERYBODY[::8]):
            assert recommend(release, changes, [name], k).of(0) == plain.of(8 * user), "alone as among others"


def test_equals_stand_in_an_order_that_no_age_and_no_numbering_decides(tmp_path: Path) -> None:
    overlay = Changes(["newcomer"], np.ones((1, 6), np.float32))
    orders = (np.arange(24), np.arange(24)[::-1], np.random.default_rng(1).permutation(24))
    releases = [equals(tmp_path / str(number), order) for number, order in enumerate(orders)]
    found = [recommend(release, overlay, ["newcomer", "stranger"], 10) for release in releases]
    assert found[0].item_ids.tolist() == found[1].item_ids.tolist() == found[2].item_ids.tolist()
    shelf = releases[0].catalogue.to_pandas().query("available")
    shelf = shelf.assign(key=text_hashes(shelf["item_id"].tolist()), rank=-shelf["popularity"])
    assert found[0].of(1) == shelf.sort_values(["rank", "key"])["item_id"].tolist()[:10]


def test_a_list_has_a_place(release: Release) -> None:
    with pytest.raises(SettingError, match="k = 0"):
        recommend(release, None, USER_IDS, 0)


def test_an_unused_path_is_not_needed(tmp_path: Path) -> None:
    """A list longer than the catalogue is padded."""
    found = recommend(tiny_release(tmp_path / "r"), None, ["user-1"], 100)
    assert found.item_ids.shape == (1, 100)
    assert found.item_ids[0, -1] == ""
    assert np.isneginf(found.scores[0, -1])
