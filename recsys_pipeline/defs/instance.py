"""Dagster's own record of runs: where it lies, what is wrong with it, and which runs in it were killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from alembic.util.exc import CommandError
from dagster_shared.check import CheckError
from sqlalchemy.exc import OperationalError

from recsys_pipeline.adapters.store.locks import waiting
from recsys_pipeline.adapters.store.machine_errors import is_of_the_machine
from recsys_pipeline.adapters.store.processes import Processes
from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.defs.history import state_of, use_history

PARTITION = "dagster/partition"
RECORD_LOCK, RECORD_WAIT_S = ".dagster.lock", 60.0
PROCESS, KILLED = "recsys/process", "recsys/killed"
"""Tags of a run that a command runs itself: its process; and that this was gone before the run ended."""
GOING_ON = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The configured source's instance, which the UI shows; raises `SettingError` naming a `dagster.yaml` that is none.

    Where its record of runs cannot be read or written (a full disk, a folder that may not be written), it raises
    `RecsysError` that says so.
    """
    home = str(use_history())
    try:
        with _configured(home) as instance:
            yield instance
    except OperationalError as error:
        raise RecsysError(
            f"Dagster's record of runs (DAGSTER_HOME is {home}) cannot be read or written ({error.orig}): give its "
            "disk room, and this user the right to write there"
        ) from error


def _configured(home: str) -> dg.DagsterInstance:
    """Opened by one process at a time: two that make the record at once can leave it with two heads, for good."""
    try:
        with waiting(state_of(Path(home)) / RECORD_LOCK, "opening Dagster's record of runs", RECORD_WAIT_S):
            return dg.DagsterInstance.get()
    except CommandError as error:
        raise RecsysError(
            f"Dagster's record of runs below {home} cannot be opened ({_in_a_line(error)}): two processes made it at "
            "once. End what uses it, move schedules.db, runs.db or index.db away (below data/.dagster/storage, "
            "whichever has two rows in its table alembic_version), and start again: artifacts and what is served are "
            "not in it; switches of schedules are in schedules.db"
        ) from error
    except (yaml.YAMLError, dg.DagsterError, CheckError, OSError) as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise
        raise SettingError(
            f"{home}/dagster.yaml is none that Dagster takes ({_in_a_line(error)}): mend it, or set DAGSTER_HOME to a "
            "folder with another"
        ) from error


def _in_a_line(error: Exception) -> str:
    """An error of Dagster's without the schema that it expected."""
    problems = error.errors if isinstance(error, dg.DagsterInvalidConfigError) else [error]
    texts = [getattr(problem, "message", None) or str(problem) for problem in problems]
    return "; ".join(" ".join(text.split(" Expected:")[0].split()) for text in texts)


def tags_of_this_process() -> dict[str, str]:
    """Tags of a run by which others can tell that it was killed."""
    return {PROCESS: _commands().me()}


def _commands() -> Processes:
    """The processes that share this record of runs."""
    return Processes(state_of(use_history()) / ".processes")


def was_killed(run: dg.DagsterRun) -> bool:
    """Whether a run's process was on this machine and ended before the run did."""
    process = run.tags.get(PROCESS)
    return KILLED in run.tags or (run.status in GOING_ON and process is not None and _commands().was_killed(process))


def fail_killed_runs(instance: dg.DagsterInstance) -> None:
    """Let Dagster know of runs whose process is gone: else the UI shows them as going on for ever."""
    for run in instance.get_runs(dg.RunsFilter(statuses=GOING_ON)):
        if was_killed(run):
            instance.add_run_tags(run.run_id, {KILLED: "true"})
            instance.report_run_failed(run, f"its process is gone ({run.tags[PROCESS]}): it was killed")
    _commands().forget_killed()
