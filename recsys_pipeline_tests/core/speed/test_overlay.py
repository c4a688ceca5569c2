"""Overlays over the tiny release: what they hold is what counting everything anew would give, and nothing more."""

import dataclasses
import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.overlay_protocol import Overlay as ServedOverlay
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release, decayed_popularity
from recsys_pipeline.core.speed.build import build_overlay
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.overlay import Overlay, write_overlay
from recsys_pipeline.core.time import microseconds
from recsys_pipeline_tests.core.dataset.plain_pairs import plain_pairs
from recsys_pipeline_tests.core.speed.events import END, event, hour, overlay, table
from recsys_pipeline_tests.release_fixtures import ITEM_IDS, OFF_SALE, USER_IDS, catalogue, ratings, tiny_release

FOLDERS = itertools.count()
FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EVENTS = st.lists(
    st.builds(
        event,
        user=st.sampled_from([*USER_IDS[:4], "stranger", "u é"]),
        item=st.sampled_from([*ITEM_IDS[:4], ITEM_IDS[-1], "new-1", "unheard of"]),
        minutes=st.integers(0, 179),
        name=st.sampled_from(["click", "view", "rating", "hide"]),
        value=st.sampled_from([1.0, 4.0]),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release"))


def known_at(events: list[dict[str, Any]], n_users: int, user_ids: list[str]) -> Ratings:
    """All pairs as a snapshot at the events' end would tell them: the plain twin, pair by pair."""
    base, item_ids = ratings(), [*ITEM_IDS]
    known = {
        (user_ids[u], item_ids[i]): (float(v), int(t))
        for u, i, v, t in zip(base.user, base.item, base.value, base.timestamp_us, strict=True)
    }
    taken, _ = plain_pairs(events, WEB_LOG)
    averse = {(row["user_id"], row["item_id"]) for row in events if row["event"] == "hide"}
    latest = {pair: told for pair, told in known.items() if pair not in averse} | taken
    rows = sorted((user_ids.index(u), t, item_ids.index(i), v) for (u, i), (v, t) in latest.items() if i in item_ids)
    user, time, item, value = (np.array(column) for column in zip(*rows, strict=True))
    return Ratings(
        user.astype(np.int32), item.astype(np.int32), value.astype(np.float32), time.astype(np.int64), n_users,
        len(item_ids),
    )  # fmt: skip


@FEW
@given(events=EVENTS)
def test_vectors_are_those_of_folding_in_everything(
    events: list[dict[str, Any]], release: Release, tmp_path: Path
) -> None:
    found = overlay(tmp_path / str(next(FOLDERS)), release, events, number=2)
    user_ids = [*USER_IDS, "stranger", "u é"]
    full = release.model.fold_in(known_at(events, len(user_ids), user_ids))
    learned = {ITEM_IDS[row] for row in np.flatnonzero(release.model.learned_items())}
    taken, avoided = plain_pairs(events, WEB_LOG)
    base = ratings()
    had = {(USER_IDS[user], ITEM_IDS[item]) for user, item in zip(base.user, base.item, strict=True)}
    touched = {user for user, item in {*taken, *(avoided & had)} if item in learned}
    assert found.user_ids == sorted(touched)
    for name in touched:
        np.testing.assert_array_equal(found.user_vectors[found.user_rows([name])[0]], full[user_ids.index(name)])
    assert (found.user_rows([name for name in user_ids if name not in touched]) == -1).all()


@FEW
@given(events=EVENTS)
def test_popularity_is_that_of_counting_all_pairs_anew(
    events: list[dict[str, Any]], release: Release, tmp_path: Path
) -> None:
    found = overlay(tmp_path / str(next(FOLDERS)), release, events, number=2)
    known = known_at(events, 32, [*USER_IDS, "stranger", "u é"])
    half_life = release.config.popularity_half_life_hours
    anew = decayed_popularity(known, found.end_us, half_life)
    for row, item in enumerate(ITEM_IDS):
        now = found.popularity.get(item, release.popularity[row] * found.decay)
        assert now == pytest.approx(anew[row], rel=1e-5, abs=1e-5)


@FEW
@given(events=EVENTS, data=st.data())
def test_the_order_of_arrival_changes_no_byte(
    events: list[dict[str, Any]], data: st.DataObject, release: Release, tmp_path: Path
) -> None:
    one, two = tmp_path / str(next(FOLDERS)), tmp_path / str(next(FOLDERS))
    overlay(one, release, events, number=2)
    overlay(two, release, data.draw(st.permutations(events)), number=2)
    assert (one / "overlay.json").read_bytes() == (two / "overlay.json").read_bytes(), "it holds the files' digests"


@FEW
@given(events=EVENTS)
def test_filters_hold_every_pair_that_was_taken_or_avoided(
    events: list[dict[str, Any]], release: Release, tmp_path: Path
) -> None:
    config = OverlayConfig(false_positive_rate=1e-6)
    found = overlay(tmp_path / str(next(FOLDERS)), release, events, number=2, config=config)
    pairs = {(row["user_id"], row["item_id"]) for row in events if row["event"] != "view"}
    every = [(user, item) for user in [*USER_IDS[:4], "stranger"] for item in [*ITEM_IDS[:4], "new-1", "unheard of"]]
    hidden = found.seen([user for user, _ in every], [item for _, item in every])
    # At one in a million wrong yeses, 30 pairs show the exact set.
    assert {pair for pair, is_hidden in zip(every, hidden, strict=True) if is_hidden} == pairs & set(every)


def test_a_dislike_hides_an_item_and_says_nothing_of_taste(release: Release, tmp_path: Path) -> None:
    events = [
        event("user-1", "item-2", 1, "rating", 1.0), event("user-2", "item-9", 2, "hide"),
        event("user-3", "item-6", 2, "view"),
    ]  # fmt: skip
    found = overlay(tmp_path, release, events)
    assert (found.taken_filter.n_keys, found.avoid_filter.n_keys) == (1, 1)
    assert found.seen(["user-1", "user-2", "user-3"], ["item-2", "item-9", "item-6"]).tolist() == [True, True, False]
    assert found.user_ids == ["user-1"]
    assert set(found.popularity) == {"item-2"}


def test_strangers_who_took_only_new_items_are_spared_them(release: Release, tmp_path: Path) -> None:
    """They have no vector, and so the list of what is popular; the new item leads it for everybody else."""
    fans = [event(f"fan {number}", "new hit", 5) for number in range(50)]
    found = overlay(tmp_path, release, fans, config=OverlayConfig(false_positive_rate=1e-6))
    assert found.user_ids == []
    lists = recommend(release, found, ["fan 7", "somebody else"], 3)
    assert "new hit" not in lists.of(0)
    assert lists.of(1) == ["new hit", *lists.of(0)[:2]]


def test_the_catalogue_of_now_decides_what_is_on_sale(release: Release, tmp_path: Path) -> None:
    rows = catalogue().to_pylist()
    now = [{**row, "available": row["item_id"] != "item-7"} for row in rows if row["item_id"] != "item-8"]
    now += [{**rows[0], "item_id": "fresh", "categories": ["lamp"]}, {**rows[0], "item_id": "gone", "available": False}]
    table_now = pa.Table.from_pylist(now, schema=catalogue().schema)
    found = overlay(tmp_path, release, [event("user-1", "fresh", 5), event("user-1", "item-7", 5)], catalogue=table_now)
    assert found.unavailable == {"item-7", "item-8"}
    assert found.available_again == {OFF_SALE}
    assert found.item_ids == ["fresh"]
    assert found.items.to_pylist()[0]["title"] == rows[0]["title"]
    assert found.popularity["fresh"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("sold_out", [catalogue().slice(3, 1), catalogue().slice(0, 0)], ids=["sold out", "no rows"])
def test_a_catalogue_with_nothing_on_sale_makes_no_overlay(sold_out: pa.Table, release: Release) -> None:
    """The hour fails and the overlay before it stays, rather than that every list is empty."""
    with pytest.raises(DataError, match="on sale: every list would be empty"):
        build_overlay(release, table([]), hour(0), OverlayConfig(), sold_out)


def test_a_new_item_without_a_mapper_gets_the_mean_of_the_learned(release: Release, tmp_path: Path) -> None:
    found = overlay(tmp_path, release, [event("user-1", "unheard of", 5), event("user-1", "viewed only", 5, "view")])
    assert found.item_ids == ["unheard of"], "without a catalogue, what is taken is on sale"
    learned = release.item_vectors[: release.n_items][release.model.learned_items()]
    np.testing.assert_allclose(found.item_vectors[0], learned.mean(axis=0), rtol=1e-6)


def test_trends_are_the_items_that_are_taken_more_than_expected(release: Release, tmp_path: Path) -> None:
    events = [event(user, "item-4", 10) for user in USER_IDS[:12]] + [event(f"new {n}", "new-2", 20) for n in range(9)]
    found = overlay(tmp_path, release, [*events, event("user-20", "item-12", 30)])
    assert found.trending[:2] == ["item-4", "new-2"] or found.trending[:2] == ["new-2", "item-4"]
    trend = dict(zip(*(found.popularity_table[name].to_pylist() for name in ("item_id", "trend")), strict=True))
    assert trend["item-12"] < 1 < trend["new-2"]


@pytest.mark.parametrize("minutes", [-1, 60, 61])
def test_an_event_outside_the_hours_is_refused(minutes: int, release: Release) -> None:
    """At the hour's end the future begins: not even its first moment may be told."""
    with pytest.raises(DataError, match="outside the hours"):
        build_overlay(release, table([event("user-1", "item-1", minutes)]), hour(0), OverlayConfig())


def test_a_release_that_ends_after_the_hour_is_refused(release: Release) -> None:
    with pytest.raises(DataError, match="earlier champion"):
        build_overlay(release, table([]), hour(-2), OverlayConfig())


def test_hours_of_an_earlier_champion_are_held_without_a_gap(release: Release, tmp_path: Path) -> None:
    """The first overlay over a new champion holds every pair since that champion's end, and none from before."""
    later = tiny_release(tmp_path / "next", day="2026-01-06", end_us=microseconds(END + timedelta(hours=24)))
    before = [event("user-1", f"item-{number}", 60 * number) for number in range(24)]
    after = [event("user-1", "item-6", 24 * 60), event("user-2", "item-7", 27 * 60)]
    old = overlay(tmp_path / "old", release, [*before, after[0]], number=24)
    new = overlay(tmp_path / "new", later, after, number=27)
    assert old.release_day == "2026-01-05"
    assert old.taken_filter.n_keys == 24, "item-6 twice"
    assert new.release_day == "2026-01-06"
    assert new.seen(["user-1", "user-2"], ["item-6", "item-7"]).all()
    assert new.taken_filter.n_keys == 2


def test_an_overlay_belongs_to_one_release(release: Release, tmp_path: Path) -> None:
    other = tiny_release(tmp_path / "other", day="2026-01-04")
    overlay(tmp_path / "overlay", release, [])
    with pytest.raises(ArtifactError, match="2026-01-05"):
        Overlay.load(tmp_path / "overlay", other)


def test_an_hour_without_events_gives_an_empty_overlay(release: Release, tmp_path: Path) -> None:
    found = overlay(tmp_path, release, [])
    assert isinstance(found, ServedOverlay)
    assert (found.user_ids, found.item_ids, found.popularity, found.trending) == ([], [], {}, [])
    assert not found.seen(["user-1"], ["item-1"]).any()


def test_a_changed_byte_in_any_file_is_found_and_named(release: Release, tmp_path: Path) -> None:
    overlay(tmp_path, release, [event("user-1", "item-1", 1), event("user-2", "fresh", 1)])
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == len(json.loads((tmp_path / "overlay.json").read_text())["files"]) + 1
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(ArtifactError, match=path.name):
            Overlay.load(tmp_path, release)
        path.write_bytes(content)
    Overlay.load(tmp_path, release)


def test_an_overlay_grows_with_the_touched_users_only(release: Release, tmp_path: Path) -> None:
    def size(n_users: int, name: str) -> int:
        overlay(tmp_path / name, release, [event(f"fan {n}", "item-1", 1) for n in range(n_users)])
        return sum(path.stat().st_size for path in (tmp_path / name).rglob("*") if path.is_file())

    small, large = size(1_000, "small"), size(4_000, "large")
    assert 3 < large / small < 4.1


def test_parts_that_are_not_of_one_length_are_refused(release: Release, tmp_path: Path) -> None:
    parts, _ = build_overlay(release, table([event("user-1", "item-1", 1)]), hour(0), OverlayConfig())
    twice = dataclasses.replace(parts, user_ids=np.array(["a", "a"], object))
    with pytest.raises(DataError, match="more than once"):
        write_overlay(tmp_path, release, twice)
