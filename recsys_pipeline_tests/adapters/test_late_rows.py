"""Late rows: taken in for some days, counted once, told after that; and a day that cannot be read stops no other."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.intake.late_rows import KEY, LATE_DAYS
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.errors import DataError, SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.arriving import (
    Arriving,
    Event,
    a_row_a_day,
    batch,
    day,
    days_read,
    snapshot,
    take_in,
)
from recsys_pipeline_tests.adapters.sql_fixtures import DAY, Shop, at


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")


LAST = 3
ROSTER = {(0, user): 0 for user in range(4)} | {(1, user): 0 for user in range(4)} | {(2, 0): 0}
"""On the first day, in time, everybody does something with everything: ids are numbered in the order of arrival, so
the digest of id maps is that of the punctual source only where late rows bring no new ids."""


@settings(max_examples=6)  # 30 took 36 s and found nothing
@given(
    late=st.dictionaries(
        st.tuples(st.integers(3, 24 * LAST + 23), st.integers(0, 3)), st.integers(0, LATE_DAYS), max_size=12
    )
)
def test_in_whatever_order_rows_come_the_last_snapshot_is_that_of_a_punctual_source(late: dict[Event, int]) -> None:
    arrives = ROSTER | {event: min(event[0] // 24 + delay, LAST) for event, delay in late.items()}
    with TemporaryDirectory() as folder:
        tardy, punctual = (ArtifactStore(f"{folder}/{name}", Path(folder, "cache")) for name in ("tardy", "punctual"))
        source = Arriving(arrives)
        for number in range(LAST + 1):
            source.today = number
            batch(tardy, source, number)
        source.today = LAST
        batch(punctual, source, LAST)
        assert snapshot(tardy, LAST).digest == snapshot(punctual, LAST).digest
        assert snapshot(tardy, LAST).rows == len(arrives), "each row once"


def test_a_late_user_is_numbered_after_those_that_were_known(store: ArtifactStore) -> None:
    source = Arriving({(1, 9): 0, (25, 8): 1, (2, 7): 1})
    for source.today in (0, 1):
        batch(store, source, source.today)
    assert snapshot(store, 1).user_ids.tolist() == ["u9", "u7", "u8"]


def test_an_older_snapshot_keeps_what_was_known_then(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0, (2, 1): 1, (25, 1): 1})
    batch(store, source, 0)
    source.today = 1
    found = batch(store, source, 1)
    assert days_read(found) == ["2026-03-01", "2026-03-02"]
    assert (snapshot(store, 0).rows, snapshot(store, 1).rows) == (1, 3)


def test_only_days_that_changed_are_read_again(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0, (25, 1): 1, (49, 1): 2, (26, 2): 2})
    for source.today in (0, 1, 2):
        batch(store, source, source.today)
    assert source.read == [(day(0), day(0)), (day(1), day(1)), (day(1), day(2))]
    assert days_read(batch(store, source, 2)) == [], "and none twice"


def test_new_code_alone_does_not_read_closed_days_again(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0, (25, 1): 1})
    source.today = 1
    batch(store, source, 1)
    assert days_read(take_in(store, source, 1, code="v2")) == ["2026-03-02"]


def test_what_comes_later_than_that_is_told_with_its_day_and_number(store: ArtifactStore) -> None:
    arrives = {(24 * number, 1): number for number in range(5)}
    source = Arriving(arrives | {(3, 2): 4, (4, 2): 4, (30, 2): 4, (50, 2): 4})
    for source.today in range(5):
        found = batch(store, source, source.today)
        assert source.today == 4 or found.too_late == {}
    assert found.too_late == {day(0): 2, day(1): 1}, "the third day is within the overlap"
    assert days_read(found) == ["2026-03-03", "2026-03-05"]
    batch(store, source, 0)
    assert batch(store, source, 4).too_late == {day(1): 1}, "a day that is materialized by hand takes them in"
    del source.arrives[(24, 1)], source.arrives[(30, 2)]
    assert batch(store, source, 4).too_late == {day(1): -1}


def test_without_an_overlap_closed_days_stay(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0, (2, 1): 1, (25, 1): 1})
    for source.today in (0, 1):
        found = batch(store, source, source.today, late_days=0)
    assert days_read(found) == ["2026-03-02"]
    assert found.too_late == {day(0): 1}


@pytest.mark.parametrize("bad", [{0}, {2}, {0, 1, 2}, {1, 3, 6}, set(range(8))])
def test_days_that_cannot_be_read_are_left_out_and_tried_again(store: ArtifactStore, bad: set[int]) -> None:
    source = a_row_a_day(9)
    source.bad = {day(number) for number in bad}
    found = batch(store, source, 8)
    assert found.failed == {of: f"{of} is broken" for of in sorted(source.bad)}
    assert days_read(found) == [day(number).isoformat() for number in range(9) if number not in bad]
    source.bad = set()
    assert days_read(batch(store, source, 8)) == [day(number).isoformat() for number in sorted(bad)]
    assert snapshot(store, 8).rows == 9


def test_few_bad_days_cost_few_streams(store: ArtifactStore) -> None:
    source = a_row_a_day(65)
    source.bad = {day(17)}
    batch(store, source, 64)
    assert len(source.read) <= 3 + 2 * 6, "all, the last, the others, and two halves for each time 64 can be halved"


def test_the_day_itself_must_be_readable_and_is_tried_before_others(store: ArtifactStore) -> None:
    source = a_row_a_day(9)
    source.bad = {day(3), day(8)}
    with pytest.raises(SourceError, match="2026-03-09 is broken"):
        batch(store, source, 8)
    assert source.read == [(day(0), day(8)), (day(8), day(8))]
    assert store.partitions(KEY) == []


def test_a_day_whose_file_was_deleted_is_read_again_while_rows_are_waited_for(store: ArtifactStore) -> None:
    source = a_row_a_day(9)
    batch(store, source, 2)
    shutil.rmtree(store.get(KEY, day(1).isoformat()).path)
    assert days_read(batch(store, source, 3)) == ["2026-03-02", "2026-03-04"]
    assert snapshot(store, 3).rows == 4


def test_a_late_day_that_cannot_be_read_keeps_its_version(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0, (2, 1): 1, (25, 1): 1})
    batch(store, source, 0)
    source.today, source.bad = 1, {day(0)}
    assert batch(store, source, 1).failed == {day(0): "2026-03-01 is broken"}
    assert snapshot(store, 1).rows == 2


def test_a_day_that_has_not_arrived_is_refused(store: ArtifactStore) -> None:
    source = Arriving({(1, 1): 0})
    source.last = DAY
    batch(store, source, 0)
    with pytest.raises(SourceError, match="has data up to 2026-03-01: 2026-03-02 has not arrived"):
        batch(store, source, 1)


def test_a_bad_share_of_one_day_does_not_keep_the_others_out(store: ArtifactStore) -> None:
    class Sloppy(Arriving):
        def interactions(self, window: Window) -> pa.RecordBatchReader:
            table = super().interactions(window).read_all()
            values = [float("nan") if moment.day == 1 else 1.0 for moment in table.column("timestamp").to_pylist()]
            at = table.column_names.index("value")
            return table.set_column(at, INTERACTIONS.field("value"), pa.array(values, pa.float32())).to_reader()

    source = Sloppy({(1, 1): 0, (25, 1): 0})
    found = batch(store, source, 1)
    assert list(found.failed) == [day(0)]
    assert "max_quarantine_share" in found.failed[day(0)]
    with pytest.raises(DataError):
        batch(store, source, 0)


def test_late_rows_of_a_database_are_taken_in_or_told(shop: Shop, store: ArtifactStore) -> None:
    shop.add(*((number, "lamp", 1.0, at(24 * number)) for number in range(5)))
    source = shop.source()
    for number in range(4):
        batch(store, source, number)
    shop.add((9, "late", 1.0, at(50)), (9, "lost", 1.0, at(1)))
    shop.run("update events set stars = 3, changed = 100 where customer = 3")
    found = batch(store, source, 4)
    assert days_read(found) == ["2026-03-03", "2026-03-04", "2026-03-05"]
    assert found.too_late == {DAY: 1}
    assert snapshot(store, 4).rows == 6
    assert sorted(snapshot(store, 4).ratings().value.tolist()) == [1, 1, 1, 1, 1, 3]
