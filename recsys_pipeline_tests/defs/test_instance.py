"""Dagster's record: a `dagster.yaml` that it does not take is named, and runs whose process is gone are told apart."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.defs.instance import (
    PARTITION,
    PROCESS,
    fail_killed_runs,
    open_instance,
    tags_of_this_process,
    was_killed,
)
from recsys_pipeline.defs.run_records import last_runs, open_failures
from recsys_pipeline.settings import settings as cached_settings
from recsys_pipeline_tests.processes import exit_code

STARTED, SUCCESS, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
GONE = {PROCESS: f"{socket.gethostname()}~1~abc"}
ELSEWHERE = {PROCESS: "another-host~1~abc"}
DAY, NEXT_DAY = "2026-01-05", "2026-01-06"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """In whose record killed processes of this and another machine left their files, unlocked."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    for left in (GONE, ELSEWHERE):
        (tmp_path / ".processes").mkdir(exist_ok=True)
        (tmp_path / ".processes" / left[PROCESS]).touch()
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def add(
    instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus = STARTED, day: str = DAY
) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name="batch_daily", tags={PARTITION: day} | tags, status=status))


@pytest.mark.parametrize(
    ("process", "status", "killed"),
    [
        (lambda: GONE, STARTED, True),
        (lambda: GONE, SUCCESS, False),
        (lambda: ELSEWHERE, STARTED, False),
        (tags_of_this_process, STARTED, False),
        (dict, STARTED, False),
    ],
)
def test_a_run_was_killed_where_its_process_here_is_gone(
    instance: dg.DagsterInstance, process: Callable[[], dict[str, str]], status: dg.DagsterRunStatus, killed: bool
) -> None:
    run = add(instance, process(), status)
    assert was_killed(run) is killed
    fail_killed_runs(instance)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is (FAILURE if killed else status)
    assert was_killed(found) is killed, "and it is known that it was no other failure"


def test_a_killed_run_is_an_open_alert_until_its_day_succeeds(instance: dg.DagsterInstance) -> None:
    for tags, status, day in ((GONE, STARTED, DAY), (GONE, STARTED, NEXT_DAY), ({}, SUCCESS, NEXT_DAY)):
        add(instance, tags, status, day)
    for _ in range(2):
        (found,) = open_failures(instance)
        assert (found.partition, found.state) == (DAY, "KILLED")
        fail_killed_runs(instance)
    assert {run.partition: run.state for run in last_runs(instance.get_run_records())}[NEXT_DAY] == "SUCCESS"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("telemetry: [\n", "expected the node content"),
        ("telemetri:\n  enabled: false\n", 'unexpected config entry "telemetri"'),
        ("- telemetry\n", "to parse to dictionary"),
        ("storage:\n  sqlite:\n    base_dir: /proc/nowhere\n", "/proc/nowhere"),
    ],
)
def test_a_broken_dagster_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(text)
    with pytest.raises(SettingError) as caught, open_instance():
        pass
    assert str(caught.value).startswith(f"{tmp_path}/dagster.yaml is none that Dagster takes (")
    assert said in str(caught.value)
    assert "Expected:" not in str(caught.value), "the whole schema is no help"


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    said = r"cannot be read or written \(database or disk is full\): give its disk room"
    with pytest.raises(RecsysError, match=said), open_instance():
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))


def open_at_once(home: Path, start: float) -> None:
    """Open the record at a moment, as several first commands do."""
    os.environ.update(DAGSTER_HOME=str(home), RECSYS_HOME=str(home / "data"))
    cached_settings.cache_clear()
    time.sleep(max(0.0, start - time.time()))
    with open_instance() as instance:
        instance.all_instigator_state()


def heads(home: Path) -> list[int]:
    """How many heads each database of the record has."""
    found = []
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as record:
            found.append(record.execute("select count(*) from alembic_version").fetchone()[0])
    return found


def test_first_commands_at_once_leave_a_record_that_opens(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    start = time.time() + 1.0
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: exit_code(open_at_once, tmp_path, start), range(4)))
    assert codes == [0] * 4
    assert heads(tmp_path) == [1, 1, 1]


def test_a_record_with_two_heads_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_instance():
        pass
    (path,) = tmp_path.rglob("schedules.db")
    with closing(sqlite3.connect(path)) as record:
        record.execute("insert into alembic_version values ('da7cd32b690d')")
        record.commit()
    with (
        pytest.raises(RecsysError, match=r"more than one head .*two processes made it at once.*move schedules.db"),
        open_instance(),
    ):
        pass
