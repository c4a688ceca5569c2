"""Dagster's record: a `dagster.yaml` that it does not take is named, and runs whose process is gone are told apart."""

import socket
from collections.abc import Iterator
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

STARTED, SUCCESS, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
NO_PROCESS = 2**22 + 1
"""Above the largest id that Linux gives."""
GONE = {PROCESS: f"{socket.gethostname()}~{NO_PROCESS}~abc"}
ELSEWHERE = {PROCESS: f"another-host~{NO_PROCESS}~abc"}
DAY, NEXT_DAY = "2026-01-05", "2026-01-06"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def add(
    instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus = STARTED, day: str = DAY
) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name="batch_daily", tags={PARTITION: day} | tags, status=status))


@pytest.mark.parametrize(
    ("tags", "status", "killed"),
    [
        (GONE, STARTED, True),
        (GONE, SUCCESS, False),
        (ELSEWHERE, STARTED, False),
        (tags_of_this_process(), STARTED, False),
        ({}, STARTED, False),
    ],
)
def test_a_run_was_killed_where_its_process_here_is_gone(
    instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus, killed: bool
) -> None:
    run = add(instance, tags, status)
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
