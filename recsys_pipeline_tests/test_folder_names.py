"""A folder called like a column (`user=9`, `at=2026-03-01`) is a folder: no read makes a column of it."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import recsys_pipeline
from recsys_pipeline.adapters.splits.files import read_interactions
from recsys_pipeline.core.dataset import snapshots
from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.reports.monitoring.priors import Share
from recsys_pipeline.core.reports.monitoring.profile_inputs import first_timers
from recsys_pipeline_tests.adapters.file_fixtures import EPOCH_S, LATER, MIDNIGHT, rows_of, source_over, write_lines

PACKAGE = Path(recsys_pipeline.__file__).parent
HOURS = [MIDNIGHT + timedelta(hours=hour) for hour in (9, 10)]
NAMES = {"user_id": "user", "item_id": "item", "timestamp": "at"}


def test_no_read_of_duckdb_looks_at_folders() -> None:
    calls = [
        (path.name, call)
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in re.findall(r"(?<![.\w])read_(?:parquet|csv|csv_auto|json_auto)\([^\n]*", path.read_text())
    ]
    assert calls, "the package reads Parquet by DuckDB"
    assert [call for call in calls if "hive_partitioning = false" not in call[1]] == []


def events(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"user": ["u", "u"], "item": ["i", "i"], "at": HOURS, **columns}), path)


def test_a_folder_named_as_the_time_leaves_the_times_alone(tmp_path: Path) -> None:
    events(tmp_path / "at=2026-03-01" / "r.parquet")
    found = source_over(tmp_path, path="*/r.parquet", columns=NAMES, time_unit="iso", values={"rating": 1.0})
    assert [row["timestamp"] for row in rows_of(found)] == HOURS


def test_a_source_may_ask_for_the_values_of_folders(tmp_path: Path) -> None:
    events(tmp_path / "kind=a%20buy" / "day=1" / "r.parquet")
    columns = {**NAMES, "event": "kind"}
    options = {"path": "**/r.parquet", "columns": columns, "time_unit": "iso", "event": None}
    found = source_over(tmp_path, hive=True, values={"a buy": 2.0}, **options)
    assert [(row["event"], row["value"]) for row in rows_of(found)] == [("a buy", 2.0)] * 2


def test_text_below_a_folder_named_as_a_column_is_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "user=shoes" / "r.csv", ["user,item,at", f"u1,i1,{EPOCH_S}"])
    options = {"path": "*/r.csv", "header": True, "columns": NAMES, "values": {"rating": 1.0}}
    assert [row["user_id"] for row in rows_of(source_over(tmp_path, **options))] == ["u1"]


def test_a_catalogue_in_a_folder_named_as_its_categories_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "kind=chairs").mkdir()
    pq.write_table(pa.table({"id": ["1", "2"], "kind": ["lamp", "bed"]}), tmp_path / "kind=chairs" / "i.parquet")
    write_lines(tmp_path / "ratings.dat", [f"u::i::1::{EPOCH_S}"])
    items = {"kind": "table", "path": "*/i.parquet", "columns": {"item_id": "id", "categories": "kind"}}
    assert source_over(tmp_path, items=items).items(LATER).column("categories").to_pylist() == [["lamp"], ["bed"]]


def test_a_file_to_evaluate_keeps_its_users(tmp_path: Path) -> None:
    path = tmp_path / "user=9" / "r.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"user": [f"u{at}" for at in range(20)], "item": ["a", "b"] * 10}), path)
    assert read_interactions(path).ratings.n_users == 20


@pytest.mark.parametrize("folder", ["user_id=acme", "item_id=x"])
def test_a_store_below_a_folder_named_as_a_column_keeps_users_and_items(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    paths = [tmp_path / folder / f"{day}.parquet" for day in (1, 2)]
    for path, names in zip(paths, (["a"], ["a", "b"]), strict=True):
        columns = {"user_id": names, "item_id": names, "event": ["buy"] * len(names), "value": [1.0] * len(names)}
        pq.write_table(pa.table({**columns, "timestamp": [MIDNIGHT] * len(names)}), path)
    for subject in ("user", "item"):
        assert snapshots._new_ids(subject, [str(path) for path in paths], np.array([], dtype=object))[0] == ["a", "b"]
    found = first_timers(paths[1], paths[:1], WEB_LOG)
    assert (found.users, found.items) == (Share(1, 2), Share(1, 2))
