"""Day files: the SQL path against a plain Python twin, digests, immutability under order, broken streams."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.dataset import day_writer, days
from recsys_pipeline.core.dataset.days import PeriodFile, write_periods
from recsys_pipeline.core.dataset.events import EventMeaning
from recsys_pipeline.core.dataset.schema import INTERACTIONS, QUARANTINE, TRACE
from recsys_pipeline.core.errors import DataError, SettingError, SourceError
from recsys_pipeline.core.time import Window

FIRST = date(2026, 3, 1)
WINDOW = Window.of_days(FIRST, date(2026, 3, 3))
RAW = pa.schema([field.with_nullable(True) for field in [*INTERACTIONS, *TRACE]])
GOOD = {"user_id": "u", "item_id": "i", "event": "click", "value": 1.0, "timestamp": WINDOW.start}
FOLDERS = itertools.count()


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=RAW)


def ingest(rows: list[dict], folder: Path, window: Window = WINDOW, **options) -> list[PeriodFile]:
    options = {"max_quarantine_share": 1.0, "threads": 1, **options}
    return write_periods(table(rows).to_reader(max_chunksize=3), window, folder / str(next(FOLDERS)), **options)


def contents(folder: Path, files: list[PeriodFile]) -> tuple[list[dict], list[dict]]:
    clean = [row for file in files for row in pq.read_table(folder / file.path).to_pylist()]
    return clean, [row for file in files for row in pq.read_table(folder / file.quarantine_path).to_pylist()]


def reason_twin(row: dict, window: Window) -> str | None:
    """The rules of the contract in plain Python: the first word of the reason."""
    if row["defect"] is not None:
        return row["defect"]
    for name in ("user_id", "item_id", "event"):
        if not row[name]:
            return name
    if row["value"] is None or not np.isfinite(row["value"]):
        return "value"
    if row["timestamp"] is None or not window.start <= row["timestamp"] < window.end:
        return "timestamp"
    if row["position"] is not None and row["position"] < 0:
        return "position"
    if row["propensity"] is not None and not 0 < row["propensity"] <= 1:
        return "propensity"
    return None


def split_twin(rows: list[dict], window: Window) -> tuple[list[dict], list[str]]:
    """Clean rows (sorted) and the first words of all reasons (sorted), by a loop over rows in canonical order.

    Rows that repeat an event are neither.
    """
    clean, reasons, seen = [], [], set()
    for row in sorted(rows, key=lambda row: (-(row["value"] or 0), row["source_row"])):
        reason = reason_twin(row, window)
        key = tuple(row[name] for name in ("user_id", "item_id", "event", "timestamp", "request_id"))
        if reason is None and key in seen:
            continue
        if reason is None:
            seen.add(key)
            clean.append({name: row[name] for name in INTERACTIONS.names})
        else:
            reasons.append(reason.split()[0])
    return sorted(clean, key=str), sorted(reasons)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["a", "b", "ab", "", None]),
            "item_id": st.sampled_from(["a", "b", None]),
            "event": st.sampled_from(["click", "view", ""]),
            "value": st.sampled_from([1.0, 0.5, float("nan"), float("inf"), None]),
            "timestamp": st.sampled_from(
                [None, *(WINDOW.start + timedelta(hours=hours) for hours in (-1, 0, 5, 24, 30, 71, 72, 1000))]
            ),
            "request_id": st.sampled_from([None, "", "r"]),
            "position": st.sampled_from([None, 0, 3, -1]),
            "propensity": st.sampled_from([None, 1.0, 0.25, 0.0, 1.5, float("nan")]),
            "defect": st.sampled_from([None, None, None, "unreadable"]),
        }
    ),
    max_size=25,
)
NUMBERED = ROWS.map(
    lambda rows: [{**row, "source_file": "events.csv", "source_row": number} for number, row in enumerate(rows, 1)]
)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(rows=NUMBERED)
def test_split_is_that_of_the_plain_twin_and_loses_nothing(rows: list[dict], tmp_path: Path) -> None:
    folder = tmp_path / str(next(FOLDERS))
    files = write_periods(table(rows).to_reader(3), WINDOW, folder, max_quarantine_share=1.0, threads=1)
    clean, bad = contents(folder, files)
    expected_clean, expected_reasons = split_twin(rows, WINDOW)
    assert sorted(clean, key=str) == expected_clean
    assert sorted(row["reason"].split()[0] for row in bad) == expected_reasons
    assert len(clean) + len(bad) == len(rows)
    assert [file.day for file in files] == list(WINDOW.days())
    for file in files:
        times = pq.read_table(folder / file.path).column("timestamp").to_pylist()
        assert times == sorted(times)
        assert {moment.date() for moment in times} <= {file.day}


@FEW
@given(rows=NUMBERED, data=st.data())
def test_order_of_arrival_changes_neither_digests_nor_bytes(rows: list[dict], data, tmp_path: Path) -> None:
    shuffled = data.draw(st.permutations(rows))
    one, two = tmp_path / str(next(FOLDERS)), tmp_path / str(next(FOLDERS))
    files = write_periods(table(rows).to_reader(5), WINDOW, one, max_quarantine_share=1.0, threads=1)
    assert files == write_periods(table(shuffled).to_reader(2), WINDOW, two, max_quarantine_share=1.0, threads=2)
    for file in files:
        assert (one / file.path).read_bytes() == (two / file.path).read_bytes()
        assert (one / file.quarantine_path).read_bytes() == (two / file.quarantine_path).read_bytes()


OTHER = {
    "user_id": "v", "item_id": "j", "event": "view", "value": 1.0000001, "request_id": "", "position": 0,
    "propensity": 0.5, "timestamp": WINDOW.start + timedelta(microseconds=1),
}  # fmt: skip


@pytest.mark.parametrize("column", OTHER)
def test_digest_sees_the_smallest_change_of_each_column(column: str, tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "user_id": "w"}]
    before = ingest(rows, tmp_path)[0]
    after = ingest([rows[0], {**rows[1], column: OTHER[column]}], tmp_path)[0]
    assert before.rows == after.rows == 2
    assert before.digest != after.digest


def test_digest_sees_where_one_text_ends_and_the_next_begins(tmp_path: Path) -> None:
    one = ingest([{**GOOD, "user_id": "ab", "item_id": "c"}], tmp_path)[0]
    two = ingest([{**GOOD, "user_id": "a", "item_id": "bc"}], tmp_path)[0]
    tricky = ingest([{**GOOD, "user_id": "a1:b", "item_id": "c"}], tmp_path)[0]
    assert len({one.digest, two.digest, tricky.digest}) == 3


def test_digest_sees_rows_swapped_removed_and_added(tmp_path: Path) -> None:
    rows = [{**GOOD, "user_id": f"u{number}", "value": float(number)} for number in range(4)]
    swapped = [*rows[:2], {**rows[2], "value": 3.0}, {**rows[3], "value": 2.0}]
    variants = [rows, swapped, rows[:3], [*rows, {**GOOD, "user_id": "u4"}], []]
    assert len({ingest(variant, tmp_path)[0].digest for variant in variants}) == len(variants)


def test_digest_of_a_multiset_counts_copies() -> None:
    # Two equal rows cannot both be in a day file, but the digest itself must not cancel them as an XOR would.
    assert day_writer.digest_rows(2, 10, 10) != day_writer.digest_rows(0, 0, 0)
    assert day_writer.digest_rows(2, 10, 10) != day_writer.digest_rows(1, 10, 10)


def test_digest_is_the_same_whatever_window_read_the_day(tmp_path: Path) -> None:
    rows = [{**GOOD, "user_id": f"u{hour}", "timestamp": WINDOW.start + timedelta(hours=hour)} for hour in range(72)]
    together = ingest(rows, tmp_path)
    for file in together:
        day = Window.of_day(file.day)
        (alone,) = ingest([row for row in rows if day.start <= row["timestamp"] < day.end], tmp_path, day)
        assert alone == file


def test_digest_is_that_of_the_written_encoding(tmp_path: Path) -> None:
    """Snapshots refer to digests for years: this spells the encoding out, so that a change of it is deliberate."""
    file = ingest([{**GOOD, "position": 2, "propensity": 0.1}, {**GOOD, "user_id": "é", "request_id": ""}], tmp_path)[0]
    midnight = int(WINDOW.start.timestamp()) * 1_000_000
    texts = [f"1:u1:i5:click1.0,{midnight},:2,0.1,", f"2:é1:i5:click1.0,{midnight},0:,,"]
    numbers = [int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest(), "little") for text in texts]
    low, high = sum(number % 2**64 for number in numbers) % 2**64, sum(number >> 64 for number in numbers) % 2**64
    assert file.digest == hashlib.sha256(f"2:{low}:{high}".encode()).hexdigest()


def test_empty_day_and_empty_source_give_valid_empty_files(tmp_path: Path) -> None:
    files = write_periods(table([]).to_reader(), WINDOW, tmp_path / "out")
    assert [file.rows for file in files] == [0, 0, 0]
    for file in files:
        assert pq.read_table(tmp_path / "out" / file.path).schema.equals(INTERACTIONS)
        assert pq.read_table(tmp_path / "out" / file.quarantine_path).schema.equals(QUARANTINE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_events_beyond_the_window_are_quarantined_as_future_on_its_last_day(tmp_path: Path) -> None:
    rows = [{**GOOD, "timestamp": WINDOW.end, "source_file": "f.csv", "source_row": 9}]
    folder = tmp_path / "out"
    files = write_periods(table(rows).to_reader(), WINDOW, folder, max_quarantine_share=1.0)
    (bad,) = pq.read_table(folder / files[-1].quarantine_path).to_pylist()
    assert files[-1].without_time == 1
    assert (bad["source_file"], bad["source_row"]) == ("f.csv", 9)
    assert "is in the future: the window ends at 2026-03-04" in bad["reason"]
    assert json.loads(bad["raw"])["user_id"] == "u"


def test_times_beyond_the_year_9999_are_quarantined_too(tmp_path: Path) -> None:
    rows = table([GOOD]).set_column(4, RAW.field("timestamp"), pa.array([10**18], pa.timestamp("us", tz="UTC")))
    files = write_periods(rows.to_reader(), WINDOW, tmp_path / "out", max_quarantine_share=1.0)
    assert [file.quarantined for file in files] == [0, 0, 1]


def test_unknown_event_is_quarantined_where_events_are_declared(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "event": "it's"}]
    files = ingest(rows, tmp_path, known_events=frozenset({"click", "o'click"}))
    assert (files[0].rows, files[0].quarantined) == (1, 1)


@pytest.mark.parametrize("column", OTHER)
def test_rows_are_one_event_exactly_if_they_share_the_event_key(column: str, tmp_path: Path) -> None:
    file = ingest([GOOD, {**GOOD, column: OTHER[column]}], tmp_path)[0]
    assert file.repeats == int(column not in day_writer.EVENT_KEY)
    assert (file.rows + file.repeats, file.quarantined) == (2, 0)


def test_of_repeats_the_largest_value_stays_wherever_it_stands(tmp_path: Path) -> None:
    places = [("b.csv", 1, 1.0), ("a.csv", 9, 3.0), ("a.csv", 7, 2.0)]
    rows = [{**GOOD, "source_file": name, "source_row": row, "value": value} for name, row, value in places]
    folder = tmp_path / "out"
    files = write_periods(table(rows).to_reader(), WINDOW, folder, max_quarantine_share=0.0)
    clean, bad = contents(folder, files)
    assert ([row["value"] for row in clean], bad) == ([3.0], [])


def test_many_repeats_fail_no_day(tmp_path: Path) -> None:
    """Public logs repeat rows: a day with more of them than the quarantine may hold was refused."""
    (file, *_) = ingest([GOOD] * 50, tmp_path, max_quarantine_share=0.01)
    assert (file.rows, file.repeats, file.quarantined) == (1, 49, 0)


def test_repeats_are_events_of_their_own_where_the_source_says_so(tmp_path: Path) -> None:
    shown = {**GOOD, "event": "view", "request_id": "r"}
    meaning = EventMeaning({"view": "exposure"}, repeats="count")
    (file, *_) = ingest([*[GOOD] * 3, *[shown] * 2], tmp_path, meaning=meaning)
    assert (file.rows, file.repeats) == (4, 1), "an item is shown once at a place of a list"


def test_repeats_are_found_across_batches(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(days, "ROW_GROUP", 2048)  # DuckDB's smallest batch; 3 does not divide it, so a triple is cut
    rows = [{**GOOD, "user_id": f"u{number // 3:04}"} for number in range(6000)]
    (file, *_) = ingest(rows, tmp_path)
    assert (file.rows, file.repeats) == (2000, 4000)


def test_row_groups_have_one_size_however_rows_arrive(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(day_writer, "ROW_GROUP", 4)
    files = write_periods(
        table([{**GOOD, "user_id": str(user)} for user in range(10)]).to_reader(7), WINDOW, tmp_path / "out"
    )
    groups = pq.ParquetFile(tmp_path / "out" / files[0].path).metadata
    assert [groups.row_group(index).num_rows for index in range(groups.num_row_groups)] == [4, 4, 2]


def test_too_many_bad_rows_fail_and_name_the_first(tmp_path: Path) -> None:
    bad = [
        {**GOOD, "user_id": "", "source_file": name, "source_row": row} for name, row in [("b", 1), ("a", 9), ("a", 7)]
    ]
    good = ({**GOOD, "user_id": str(number), "source_file": "ab"[number % 2]} for number in range(10))
    with pytest.raises(DataError, match=r"3 of 13 rows .* row 7 of a: user_id is empty"):
        ingest([*bad, *good], tmp_path, max_quarantine_share=0.1)


def test_a_file_of_which_most_rows_are_bad_is_refused_with_the_days_that_it_reaches_into(tmp_path: Path) -> None:
    """Each day has few enough bad rows; all of them come from one of the files."""
    rows = [
        {**GOOD, "user_id": f"u{number}", "timestamp": WINDOW.start + timedelta(days=number % 2), "source_file": "good"}
        for number in range(6000)
    ]
    bad = [{**row, "user_id": "", "source_file": "bad", "source_row": 7} for row in rows[:30]]
    third = {**GOOD, "timestamp": WINDOW.start + timedelta(days=2), "source_file": "good"}
    written = days.write_good_periods(table([*rows, *bad, third]).to_reader(), WINDOW, tmp_path / "out")
    assert [file.day.day for file in written.files] == [3]
    assert [start.day for start in written.refused] == [1, 2]
    for why in written.refused.values():
        assert "its file is bad: 30 of 30 rows break the contract" in why
        assert "row 7 of bad: user_id is empty" in why
    assert list(written.rows_refused.values()) == [3015, 3015]


def test_the_rest_of_days_that_pass_must_keep_the_share_together(tmp_path: Path) -> None:
    """No day by itself has more bad rows than chance explains; all of them together have."""
    rows = [
        {
            **GOOD,
            "user_id": "" if number % 60 < 2 else f"u{number}",
            "timestamp": WINDOW.start + timedelta(days=number % 3),
        }
        for number in range(180)
    ]
    with pytest.raises(DataError, match="6 of 180 rows break the contract"):
        days.write_good_periods(table(rows).to_reader(), WINDOW, tmp_path / "out")


def broken_stream(error: Exception) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield table([GOOD]).to_batches()[0]
        raise error

    return pa.RecordBatchReader.from_batches(RAW, batches())


def test_stream_that_breaks_off_fails_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"stopped after 1 rows: cable cut"):
        write_periods(broken_stream(OSError("cable cut")), WINDOW, tmp_path / "one")
    with pytest.raises(SourceError, match=r"^ratings\.gz ends early$"):
        write_periods(broken_stream(SourceError("ratings.gz ends early")), WINDOW, tmp_path / "two")


def test_wrong_columns_fail_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing \['value'\]"):
        write_periods(table([GOOD]).drop_columns(["value"]).to_reader(), WINDOW, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_optional_columns_may_be_absent(tmp_path: Path) -> None:
    required = table([GOOD]).select([field.name for field in INTERACTIONS if not field.nullable])
    (file, *_) = write_periods(required.to_reader(), WINDOW, tmp_path / "out")
    assert file.digest == ingest([GOOD], tmp_path)[0].digest


def test_window_that_cuts_a_day_is_refused(tmp_path: Path) -> None:
    cut = dataclasses.replace(WINDOW, end=datetime(2026, 3, 3, 12, tzinfo=UTC))
    with pytest.raises(SettingError, match="not a midnight"):
        write_periods(table([]).to_reader(), cut, tmp_path / "out")


def test_hour_files_are_cuts_of_the_day_file(tmp_path: Path) -> None:
    rows = [{**GOOD, "timestamp": WINDOW.start + timedelta(minutes=20 * number)} for number in range(9)]
    day = Window(WINDOW.start, WINDOW.start + timedelta(hours=3))
    hours = ingest(rows, tmp_path / "hours", day, period=timedelta(hours=1))
    assert [file.partition for file in hours] == [f"2026-03-01-0{hour}:00" for hour in range(3)]
    assert [file.rows for file in hours] == [3, 3, 3]
    half = Window(WINDOW.start, WINDOW.start + timedelta(minutes=90))
    with pytest.raises(SettingError, match="full hour"):
        ingest(rows, tmp_path / "half", half, period=timedelta(hours=1))
