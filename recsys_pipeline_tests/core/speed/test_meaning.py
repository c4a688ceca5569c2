"""Batch and speed agree on what an event means: the same events, read as a day and as hours, say the same."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.snapshots import AVOID_EVENTS, DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.speed.delta import delta_of
from recsys_pipeline.core.types import microseconds
from recsys_pipeline_tests.core.speed.events import END, event, table

FOLDERS = itertools.count()
EVENTS = st.lists(
    st.builds(
        event,
        user=st.sampled_from(["ann", "bob", "u é"]),
        item=st.sampled_from(["lamp", "sofa", "Sofa"]),
        minutes=st.integers(0, 3),
        name=st.sampled_from(["click", "view", "rating", *AVOID_EVENTS]),
        value=st.sampled_from([-1.0, 0.0, 1.0, 4.5]),
    ),
    max_size=30,
)


def day_of(folder: Path, events: list[dict[str, Any]]) -> Snapshot:
    """A snapshot of one day with these events."""
    folder.mkdir()
    pq.write_table(table(events), folder / "interactions.parquet")
    entry = DayEntry(END.date().isoformat(), f"{folder.name}/interactions.parquet", "digest", len(events))
    return write_snapshot(folder, folder.parent, [entry])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_a_day_and_its_hours_say_the_same(events: list[dict[str, Any]], tmp_path: Path) -> None:
    day = day_of(tmp_path / str(next(FOLDERS)), events)
    hours = delta_of(table(events), microseconds(END), microseconds(END + timedelta(hours=1)))
    taken, avoided = day.ratings(), day.avoided()
    told = zip(taken.user, taken.item, taken.value, taken.timestamp_us, strict=True)
    ids = hours.user_ids[hours.taken.user], hours.item_ids[hours.taken.item]
    assert {(day.user_ids[user], day.item_ids[item], value, time) for user, item, value, time in told} == set(
        zip(*ids, hours.value, hours.timestamp_us, strict=True)
    )
    wishes = {(day.user_ids[user], day.item_ids[item]) for user, item in zip(avoided.user, avoided.item, strict=True)}
    assert wishes == {(row["user_id"], row["item_id"]) for row in events if row["event"] in AVOID_EVENTS}
    assert wishes == set(zip(hours.user_ids[hours.avoided.user], hours.item_ids[hours.avoided.item], strict=True))
