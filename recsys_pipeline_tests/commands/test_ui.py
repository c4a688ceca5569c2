"""What a UI that was killed left behind is named at the next start, and ended where that is asked for."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from recsys_pipeline.adapters.process_groups import Group
from recsys_pipeline.commands.running.dagster_ui import clear_of_earlier
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.instance import PARTITION, open_instance, tags_of_this_process
from recsys_pipeline_tests.deployment import DAY, Deployment

SLEEPER = "import time; time.sleep(60)  # multiprocessing"


@pytest.fixture
def left(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process of an earlier UI, and a run that is going on in it beside one of a command."""
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    with Deployment(tmp_path).active(), open_instance() as instance:
        for tags in ({PARTITION: DAY}, tags_of_this_process()):
            instance.add_run(dg.DagsterRun(job_name="batch_daily", tags=tags, status=dg.DagsterRunStatus.STARTED))
        yield process
    process.kill()
    process.wait()


def note_of(process: subprocess.Popen, tmp_path: Path, is_gone: bool = True) -> Path:
    """What an earlier UI noted whose first process is gone."""
    note, mine = tmp_path / "ui.json", Group.of_this_process(process.pid, tmp_path / "ui.json")
    (Group(process.pid, f"{mine.owner}0") if is_gone else mine).note(note)
    return note


def states() -> list[str]:
    with open_instance() as instance:
        return sorted(run.status.value for run in instance.get_runs())


def test_it_is_named_with_what_it_runs(left: subprocess.Popen, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"left 1 processes \({left.pid}\); .* batch_daily {DAY} .*--end-runs"):
        clear_of_earlier(Console(file=io.StringIO()), note_of(left, tmp_path), end_runs=False)
    assert left.poll() is None
    assert states() == ["STARTED", "STARTED"]


def test_it_is_ended_where_that_is_asked_for(left: subprocess.Popen, tmp_path: Path) -> None:
    clear_of_earlier(Console(file=io.StringIO()), note_of(left, tmp_path), end_runs=True)
    assert left.wait(5) < 0
    assert states() == ["CANCELED", "STARTED"], "a command's run is not the UI's"


def test_a_ui_that_runs_is_not_started_twice(left: subprocess.Popen, tmp_path: Path) -> None:
    for end_runs in (False, True):
        with pytest.raises(SettingError, match="runs already"):
            clear_of_earlier(Console(file=io.StringIO()), note_of(left, tmp_path, is_gone=False), end_runs)
    assert left.poll() is None


def test_after_a_clean_end_nothing_is_asked(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"], start_new_session=True)
    gone.wait()
    clear_of_earlier(Console(file=io.StringIO()), note_of(gone, tmp_path), end_runs=False)
    clear_of_earlier(Console(file=io.StringIO()), tmp_path / "never", end_runs=False)
