"""Snapshots: stable id maps, order-free digests, latest value per pair, nothing from after the day."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.core.dataset import snapshots
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot

Event = tuple[str, str, str, float, int]


def write_day(root: Path, day: str, events: list[Event], version: str = "a") -> DayEntry:
    path = root / "days" / day / version / "interactions.parquet"
    path.parent.mkdir(parents=True)
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    columns = {
        "user_id": pa.array([e[0] for e in events], pa.string()),
        "item_id": pa.array([e[1] for e in events], pa.string()),
        "event": pa.array([e[2] for e in events], pa.string()),
        "value": pa.array([e[3] for e in events], pa.float32()),
        "timestamp": pa.array([noon.replace(minute=e[4]) for e in events], pa.timestamp("us", tz="UTC")),
    }
    pq.write_table(pa.table(columns), path)
    return DayEntry(day, path.relative_to(root).as_posix(), f"{day}-{version}", len(events))


def snapshot_of(root: Path, name: str, days: list[DayEntry], previous: Snapshot | None = None) -> Snapshot:
    directory = root / name
    directory.mkdir()
    write_snapshot(directory, root, days, previous)
    return Snapshot.load(directory, root)


@pytest.fixture
def days(tmp_path: Path) -> list[DayEntry]:
    return [
        write_day(tmp_path, "2026-01-01", [("zoe", "a", "click", 3, 0), ("bob", "b", "view", 0, 1)]),
        write_day(tmp_path, "2026-01-02", []),
        write_day(tmp_path, "2026-01-03", [("amy", "a", "rating", 5, 0), ("zoe", "a", "rating", 2, 5)]),
    ]


def test_ids_are_numbered_by_first_day_and_never_change(tmp_path: Path, days: list[DayEntry]) -> None:
    first = snapshot_of(tmp_path, "first", days[:1])
    third = snapshot_of(tmp_path, "third", days, previous=first)
    assert first.user_ids.tolist() == ["bob", "zoe"]
    assert third.user_ids.tolist() == ["bob", "zoe", "amy"]
    assert third.item_ids.tolist() == ["a", "b"]


def test_a_chain_of_daily_snapshots_equals_one_snapshot(tmp_path: Path, days: list[DayEntry]) -> None:
    chain = None
    for i in range(3):
        chain = snapshot_of(tmp_path, f"chain{i}", days[: i + 1], previous=chain)
    whole = snapshot_of(tmp_path, "whole", days)
    assert chain is not None
    assert chain.digest == whole.digest
    assert chain.user_ids.tolist() == whole.user_ids.tolist()


def test_late_events_make_a_new_version_and_old_snapshots_keep_the_old_one(
    tmp_path: Path, days: list[DayEntry]
) -> None:
    before = snapshot_of(tmp_path, "before", days)
    ratings_before = before.ratings()
    late = write_day(tmp_path, "2026-01-01", [("zoe", "a", "click", 3, 0), ("abe", "c", "click", 3, 2)], version="b")
    after = snapshot_of(tmp_path, "after", [late, *days[1:]], previous=before)
    assert after.user_ids.tolist() == ["bob", "zoe", "amy", "abe"]
    assert after.digest != before.digest
    np.testing.assert_array_equal(Snapshot.load(tmp_path / "before", tmp_path).ratings().user, ratings_before.user)


def test_ratings_hold_the_latest_value_of_each_pair_and_no_impressions(tmp_path: Path, days: list[DayEntry]) -> None:
    ratings = snapshot_of(tmp_path, "whole", days).ratings()
    assert list(zip(ratings.user.tolist(), ratings.item.tolist(), ratings.value.tolist(), strict=True)) == [
        (1, 0, 2.0),
        (2, 0, 5.0),
    ]
    assert ratings.timestamp_us[0] == int(datetime(2026, 1, 3, 12, 5, tzinfo=UTC).timestamp() * 1e6)
    assert (ratings.n_users, ratings.n_items) == (3, 2)


def test_an_item_that_a_user_hides_is_avoided_and_no_interest(tmp_path: Path) -> None:
    """What was taken before the wish was liked then, and is no more."""
    first: list[Event] = [("bob", "a", "click", 3, 0), ("bob", "a", "hide", 1, 5), ("bob", "b", "dislike", 1, 7)]
    days = [write_day(tmp_path, "2026-01-01", first), write_day(tmp_path, "2026-01-02", [("amy", "a", "report", 1, 0)])]
    snapshot = snapshot_of(tmp_path, "whole", days)
    ratings, avoided = snapshot.ratings(), snapshot.avoided()
    assert len(ratings) == 0
    assert snapshot.ratings(until=datetime(2026, 1, 1, 12, 5, tzinfo=UTC)).value.tolist() == [3.0]
    assert list(zip(avoided.user.tolist(), avoided.item.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0)]
    assert len(snapshot.avoided(until=datetime(2026, 1, 1, 12, 6, tzinfo=UTC))) == 1


def test_ratings_are_those_of_the_plain_twin_also_where_they_come_in_many_batches(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "BATCH_ROWS", 2048)  # DuckDB's smallest batch
    rng = np.random.default_rng(0)
    events: list[Event] = [
        (f"u{rng.integers(60)}", f"i{rng.integers(200)}", str(rng.choice(["click", "rating", "view"])), float(value), m)
        for value, m in zip(rng.integers(1, 6, 9000), rng.integers(0, 59, 9000), strict=True)
    ]
    snapshot = snapshot_of(tmp_path, "whole", [write_day(tmp_path, "2026-01-01", events)])
    latest: dict[tuple[str, str], tuple[int, float]] = {}
    for user, item, event, value, minute in events:
        if event != "view":
            latest[user, item] = max(latest.get((user, item), (-1, 0.0)), (minute, value))
    users, items = snapshot.user_ids.tolist(), snapshot.item_ids.tolist()
    expected = sorted((users.index(u), minute, items.index(i), value) for (u, i), (minute, value) in latest.items())
    ratings = snapshot.ratings()
    minutes = (ratings.timestamp_us - ratings.timestamp_us.min()) // 60_000_000 + min(row[1] for row in expected)
    found = zip(ratings.user.tolist(), minutes.tolist(), ratings.item.tolist(), ratings.value.tolist(), strict=True)
    assert len(expected) > 2 * 2048
    assert list(found) == expected


def test_an_event_planted_in_the_future_changes_nothing(tmp_path: Path, days: list[DayEntry]) -> None:
    until_second = snapshot_of(tmp_path, "x", days[:2])
    write_day(tmp_path, "2026-01-09", [("bob", "a", "rating", 1, 0)])
    again = snapshot_of(tmp_path, "y", days[:2])
    assert again.digest == until_second.digest
    np.testing.assert_array_equal(again.ratings().value, until_second.ratings().value)


def test_ratings_as_they_stood_at_a_moment(tmp_path: Path, days: list[DayEntry]) -> None:
    snapshot = snapshot_of(tmp_path, "whole", days)
    moment = datetime(2026, 1, 3, 12, 5, tzinfo=UTC)  # zoe's rating is of this very instant
    then = snapshot.ratings(until=moment)
    rows = {
        (snapshot.user_ids[u], snapshot.item_ids[i]): v
        for u, i, v in zip(then.user, then.item, then.value, strict=True)
    }
    assert rows == {("zoe", "a"): 3.0, ("amy", "a"): 5.0}
    assert (then.n_users, then.n_items) == (3, 2)
    assert len(snapshot.ratings(until=datetime(2026, 1, 1, tzinfo=UTC))) == 0
    earlier, first = snapshot.ratings(until=datetime(2026, 1, 2, tzinfo=UTC)), snapshot_of(tmp_path, "one", days[:1])
    np.testing.assert_array_equal(earlier.value, first.ratings().value)


def test_empty_days_only_give_empty_ratings(tmp_path: Path, days: list[DayEntry]) -> None:
    ratings = snapshot_of(tmp_path, "empty", days[1:2]).ratings()
    assert len(ratings) == 0
    assert ratings.n_users == 0
