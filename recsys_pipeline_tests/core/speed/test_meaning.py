"""Batch and speed agree on what an event means: the same events, read as a day and as hours, say the same."""

import dataclasses
import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.events import EventMeaning
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.delta import delta_of
from recsys_pipeline.core.speed.fold import merge
from recsys_pipeline.core.time import microseconds
from recsys_pipeline_tests.core.dataset.plain_pairs import Pair, plain_pairs
from recsys_pipeline_tests.core.speed.events import END, event, overlay, table
from recsys_pipeline_tests.release_fixtures import ITEM_IDS, USER_IDS, tiny_release

FOLDERS = itertools.count()
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = st.sampled_from(["interest", "exposure", "aversion"])
MEANINGS = st.builds(
    EventMeaning,
    kinds=st.dictionaries(st.sampled_from(["click", "view", "hide", "it's"]), KINDS),
    likes_from=st.sampled_from([None, 0.0, 0.7, 3.0]),
    pair=st.sampled_from(["max", "sum", "count", "latest"]),
)


def events_of(users: list[str], items: list[str], first_minute: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    rows = st.builds(
        event,
        user=st.sampled_from(users),
        item=st.sampled_from(items),
        minutes=st.integers(first_minute, first_minute + 3),
        name=st.sampled_from(["click", "view", "rating", "hide", "it's"]),
        value=st.sampled_from([-1.0, 0.0, 0.7, 1.0, 4.5]),
    )
    return st.lists(rows, max_size=30)


def snapshot_of(folder: Path, events: list[dict[str, Any]], meaning: EventMeaning) -> Snapshot:
    """A snapshot of one day with these events, as it is loaded."""
    folder.mkdir()
    pq.write_table(table(events), folder / "interactions.parquet")
    entry = DayEntry(END.date().isoformat(), f"{folder.name}/interactions.parquet", "digest", len(events))
    write_snapshot(folder, folder.parent, [entry], events=meaning)
    return Snapshot.load(folder, folder.parent)


def named(found: Ratings, user_ids: np.ndarray, item_ids: np.ndarray) -> dict[Pair, tuple[float, int]]:
    columns = zip(found.user, found.item, found.value, found.timestamp_us, strict=True)
    return {
        (str(user_ids[user]), str(item_ids[item])): (float(value), int(time)) for user, item, value, time in columns
    }


def alike(found: dict[Pair, tuple[float, int]]) -> dict[Pair, Any]:
    return {pair: (pytest.approx(value, rel=1e-6), time) for pair, (value, time) in found.items()}


@FEW
@given(events=events_of(["ann", "bob", "u é"], ["lamp", "sofa", "Sofa"], 0), meaning=MEANINGS)
def test_a_day_and_its_hours_say_what_the_plain_twin_says(
    events: list[dict[str, Any]], meaning: EventMeaning, tmp_path: Path
) -> None:
    taken, avoided = plain_pairs(events, meaning)
    day = snapshot_of(tmp_path / str(next(FOLDERS)), events, meaning)
    assert named(day.ratings(), day.user_ids, day.item_ids) == alike(taken)
    assert set(named(day.avoided(), day.user_ids, day.item_ids)) == avoided
    hours = delta_of(table(events), microseconds(END), microseconds(END + timedelta(hours=1)), meaning)
    ids = zip(hours.user_ids[hours.taken.user], hours.item_ids[hours.taken.item], strict=True)
    told = zip(hours.value.tolist(), hours.timestamp_us.tolist(), strict=True)
    assert dict(zip(ids, told, strict=True)) == alike(taken)
    assert set(zip(hours.user_ids[hours.avoided.user], hours.item_ids[hours.avoided.item], strict=True)) == avoided


@FEW
@given(data=st.data(), meaning=MEANINGS)
def test_what_pairs_are_worth_depends_on_no_order_and_no_name(
    data: st.DataObject, meaning: EventMeaning, tmp_path: Path
) -> None:
    """Only names that mean something are kept."""
    events = data.draw(events_of(["ann", "bob"], ["lamp", "sofa"], 0))
    renamed = [
        row | {"user_id": {"ann": "zoe", "bob": "bob"}[row["user_id"]], "item_id": row["item_id"][::-1]}
        | ({} if row["event"] in ("view", *meaning.kinds) else {"event": "zzz"})
        for row in data.draw(st.permutations(events))
    ]  # fmt: skip
    one, two = (snapshot_of(tmp_path / str(next(FOLDERS)), rows, meaning) for rows in (events, renamed))
    mine, other = (named(day.ratings(), day.user_ids, day.item_ids) for day in (one, two))
    back = {"zoe": "ann", "bob": "bob"}
    assert {(back[user], item[::-1]): told for (user, item), told in other.items()} == mine


@FEW
@given(data=st.data(), meaning=MEANINGS)
def test_a_release_and_the_hours_after_it_say_what_all_of_it_says(
    data: st.DataObject, meaning: EventMeaning, tmp_path: Path
) -> None:
    users, items = USER_IDS[:3], ITEM_IDS[:3]
    before, after = (data.draw(events_of(users, items, minute)) for minute in (-60, 0))
    known, _ = plain_pairs(before, meaning)
    folder = tmp_path / str(next(FOLDERS))
    base = tiny_release(folder, histories=_as_ratings(known), fitted=None, events=meaning)
    delta = delta_of(table(after), microseconds(END), microseconds(END + timedelta(hours=1)), base.events)
    found = named(merge(base, delta).histories, delta.user_ids, np.array(ITEM_IDS))
    taken, _ = plain_pairs([*before, *after], meaning)
    assert found == alike({pair: told for pair, told in taken.items() if pair[0] in delta.user_ids})


def _as_ratings(pairs: dict[Pair, tuple[float, int]]) -> Ratings:
    rows = [(USER_IDS.index(user), ITEM_IDS.index(item), *told) for (user, item), told in pairs.items()]
    user, item, value, time = (np.array([row[at] for row in rows]) for at in range(4))
    return Ratings(user.astype(np.int32), item.astype(np.int32), value.astype(np.float32), time.astype(np.int64),
                   len(USER_IDS), len(ITEM_IDS))  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release"))


def test_who_turns_from_everything_gets_what_is_popular_and_the_items_lose_them(
    release: Release, tmp_path: Path
) -> None:
    user = USER_IDS[0]
    rows = release.history(release.user_rows([user])).item
    turned = [event(user, ITEM_IDS[row], 5, "dislike") for row in rows]
    over = overlay(tmp_path, release, turned)
    found = recommend(release, over, [user], 5)
    assert found.why == ["popular"]
    item = ITEM_IDS[rows[0]]
    assert over.popularity[item] < release.popularity[rows[0]] * over.decay


def test_documents_bring_meanings_back() -> None:
    meaning = EventMeaning({"view": "exposure"}, 3.5, "max", "count")
    assert EventMeaning.of(meaning.document()) == meaning
    assert EventMeaning.of(None).names("exposure") == ["view"], "what earlier versions took for granted"
    assert dataclasses.asdict(EventMeaning.of(None))["pair"] == "latest"
