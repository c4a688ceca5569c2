"""`recsys ui`: Dagster's UI over the configured source's history, its reports beside it, and an end without orphans."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.process_groups import Group
from recsys_pipeline.adapters.report_server import serving
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.history import use_history
from recsys_pipeline.defs.instance import GOING_ON, PARTITION, PROCESS, open_instance
from recsys_pipeline.defs.resources import configured_source, report_folder
from recsys_pipeline.settings import settings

DAEMON = "dagster._daemon"
RUNS_END_S, SERVERS_END_S = 20.0, 15.0
POLL_S, SAME_SIGNAL_S = 0.3, 1.0


class _Stopped(Exception):  # noqa: N818 - not an error
    """Somebody asked for an end: Ctrl-C, or TERM of a supervisor."""


def serve_ui(console: Console, host: str, port: int, end_runs: bool) -> int:
    """Run the UI until it ends or is told to; the exit code is its own, or 0 where it was told to.

    Raises `SettingError` where the UI of this source runs already, or an earlier one left processes behind.
    """
    home, source = use_history(), configured_source().name
    note = settings().home / ".dagster" / f"ui-{source}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    clear_of_earlier(console, note, end_runs)
    with open_instance():  # a first start makes the record alone, before Dagster's processes all open it
        pass
    console.print(f"Source {escape(source)}: its runs, schedules and sensors are kept in {escape(str(home))}")
    with serving(report_folder(settings(), source), *settings().reports_address) as reports:
        console.print(f"Reports: {reports} (a page a day, once a batch has run)")
        console.print(f"Dagster UI: http://{host}:{port} (ready in about 20 s; Ctrl-C ends it)")
        return _run(console, note, ["-h", host, "-p", str(port)])


def _run(console: Console, note: Path, arguments: Sequence[str]) -> int:
    """Dagster's servers in a group of their own, of which `note` tells the next start; none of them outlives this."""
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", *arguments]
    with _stoppable() as stop:
        server = subprocess.Popen(command, start_new_session=True)
        group = Group.of_this_process(server.pid, note)
        group.note(note)
        try:
            return server.wait()
        except _Stopped:
            group.hold(DAEMON)  # what is queued waits for the next start
            _end_runs(console, stop)
            return 0
        finally:
            group.end(SERVERS_END_S)
            server.wait()
            _record_ended()
            note.unlink(missing_ok=True)


def clear_of_earlier(console: Console, note: Path, end_runs: bool) -> None:
    """See that no process of an earlier UI is left; with `end_runs` end those, and record what they ran as canceled."""
    earlier = Group.read(note)
    members = earlier.members() if earlier else []
    if earlier is None or not members:
        return
    if earlier.is_owned(note):
        raise SettingError(f"the UI of this source runs already (process {members[0].process_id}): end it first")
    told = ", ".join(str(member.process_id) for member in members)
    if not end_runs:
        running = "; ".join(map(_named, _of_the_ui())) or "none"
        raise SettingError(
            f"an earlier UI that was killed left {len(members)} processes ({told}); runs that go on in them: {running}"
            ". Wait for these, or start with --end-runs (make ui ARGS=--end-runs), which ends them"
        )
    console.print(f"Ending {len(members)} processes of an earlier UI ({told})")
    earlier.kill()  # told to end, a run would fail, and be tried again
    _record_ended()


def _end_runs(console: Console, stop: "_Stop") -> None:
    """Ask the runs in progress to end at their next event; finished steps stay, and a second Ctrl-C does not wait."""
    with open_instance() as instance:
        for run in _going_on(instance):
            console.print(f"Ending {escape(_named(run))}: what it has finished stays, and is up to date when run again")
            try:
                instance.run_launcher.terminate(run.run_id)
            except DagsterUserCodeUnreachableError:
                instance.report_run_canceled(run, "what ran it does not answer")
        deadline = time.monotonic() + RUNS_END_S
        while _going_on(instance) and time.monotonic() < deadline and not stop.is_urgent:
            time.sleep(POLL_S)


def _record_ended() -> None:
    """Let Dagster know of runs whose processes are gone: else they go on in the UI for ever."""
    with open_instance() as instance:
        for run in _going_on(instance):
            instance.report_run_canceled(run, "the UI that ran it was ended")


def _of_the_ui() -> list[dg.DagsterRun]:
    with open_instance() as instance:
        return _going_on(instance)


def _going_on(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs in progress that the UI's processes run, not a command."""
    return [run for run in instance.get_runs(dg.RunsFilter(statuses=GOING_ON)) if PROCESS not in run.tags]


def _named(run: dg.DagsterRun) -> str:
    return " ".join(filter(None, (run.job_name, run.tags.get(PARTITION), run.run_id[:8])))


class _Stop:
    """What Ctrl-C and TERM do: the first is raised as `_Stopped`, a later one says that it is urgent.

    Supervisors send one signal to a process and to its group: what comes within a second is the same.
    """

    def __init__(self) -> None:
        self.is_urgent = False
        self._asked_at: float | None = None

    def __call__(self, _: int, __: FrameType | None) -> None:
        """One signal."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            raise _Stopped
        self.is_urgent = now - self._asked_at > SAME_SIGNAL_S


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """Take Ctrl-C and TERM while the body runs."""
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
