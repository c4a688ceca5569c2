"""The double as a test sees it: started, told to fail, and asked what it holds."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from recsys_pipeline_tests.wandb_double import views
from recsys_pipeline_tests.wandb_double.faults import Fault, Faults
from recsys_pipeline_tests.wandb_double.files import Files
from recsys_pipeline_tests.wandb_double.records import Records
from recsys_pipeline_tests.wandb_double.runs import history_rows
from recsys_pipeline_tests.wandb_double.server import DoubleServer

KEY = "0123456789abcdef0123456789abcdefdeadbeef"
"""Forty characters, as W&B's keys have."""
ENTITY = "tester"
RETRIES = {"RETRY_MAX": "2", "RETRY_WAIT_MIN_SECONDS": "1", "RETRY_WAIT_MAX_SECONDS": "1"}
PATIENCE = {
    "WANDB_INIT_TIMEOUT": "20", "WANDB_HTTP_TIMEOUT": "10", "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
    **{
        f"WANDB_X_{part}_{name}": value
        for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")
        for name, value in RETRIES.items()
    },
}  # fmt: skip
"""How long the client tries: its own settings, shortened so that a test of a failing server takes seconds."""


class WandbDouble:
    """A W&B server on 127.0.0.1 that keeps its state in `folder`.

    Example:
        with WandbDouble(tmp_path) as double:
            subprocess.run([sys.executable, "train.py"], env=double.environment(), check=True)
            assert Edge("run-id", "input", "folds:v0") in double.edges()
    """

    def __init__(self, folder: Path, key: str = KEY, entity: str = ENTITY) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.key = key
        self._faults = Faults()
        self._records = Records(folder / "wandb-double.sqlite")
        self._server = DoubleServer(self._records, self._faults, key, entity)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._files = Files(folder / "blobs", self.url)
        self._server.provide(self._files)

    def __enter__(self) -> "WandbDouble":
        poll_s = 0.02
        self._thread = threading.Thread(target=self._server.serve_forever, args=(poll_s,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._records.close()

    def environment(self, directory: Path | None = None) -> dict[str, str]:
        """Settings that point a client here and keep all of its files below `directory` (default: beside the state)."""
        root = directory or self.folder / "client"
        places = {"DIR": root, "DATA_DIR": root / "data", "CACHE_DIR": root / "cache", "CONFIG_DIR": root / "config"}
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        return {
            "WANDB_BASE_URL": self.url, "WANDB_MODE": "online", "WANDB_API_KEY": self.key, "NO_PROXY": "127.0.0.1",
            "WANDB_ERROR_REPORTING": "false", "WANDB_CONSOLE": "off", "WANDB_DISABLE_GIT": "true",
            "WANDB_X_DISABLE_STATS": "true",
            **PATIENCE, **{f"WANDB_{name}": str(place) for name, place in places.items()},
        }  # fmt: skip

    def fail(
        self, operation: str = "*", *, status: int = 500, times: int | None = 1, retry_after_s: float | None = None,
        skip: int = 0,
    ) -> None:  # fmt: skip
        """Answer the next `times` requests (None: all of them, until healed) with an HTTP error."""
        self._faults.add(Fault(operation, status, retry_after_s, times=times, skip=skip))

    def drop(self, operation: str = "*", *, done: bool = False, times: int | None = 1, skip: int = 0) -> None:
        """Close the connection unanswered; with `done` what was asked is done first, and only the answer is lost."""
        self._faults.add(Fault(operation, drop="after" if done else "before", times=times, skip=skip))

    def delay(self, operation: str = "*", *, seconds: float, times: int | None = 1, skip: int = 0) -> None:
        """Answer late."""
        self._faults.add(Fault(operation, delay_s=seconds, times=times, skip=skip))

    def heal(self) -> None:
        """Take back every fault that has not struck yet."""
        self._faults.heal()

    def runs(self, project: str | None = None) -> list[views.RunRecord]:
        """The runs, oldest first."""
        return [run for run in views.run_records(self._records) if project in (None, run.project)]

    def run(self, name: str) -> views.RunRecord:
        """The one run with this id.

        Raises:
            KeyError: there is none, or more than one project has it.
        """
        found = [run for run in self.runs() if run.name == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} runs are called {name!r} among {[run.name for run in self.runs()]}")
        return found[0]

    def history(self, run: str) -> list[dict[str, Any]]:
        """The logged steps of the run with this id."""
        rows = self._records.all("select id from runs where name = ?", run)
        return [step for row in rows for step in history_rows(self._records, row["id"])]

    def artifacts(self, project: str | None = None) -> list[views.ArtifactRecord]:
        """The committed versions, in the order in which they were begun."""
        found = views.artifact_records(self._records, self._files)
        return [artifact for artifact in found if project in (None, artifact.project)]

    def edges(self, project: str | None = None) -> set[views.Edge]:
        """Which run made or used which committed version."""
        return views.edge_records(self._records, project)

    def sweeps(self, project: str | None = None) -> list[views.SweepRecord]:
        """The sweeps, oldest first."""
        return views.sweep_records(self._records, project)

    def stop_run(self, name: str) -> None:
        """Do what the page's stop button does: the run's agent hears of it with its next heartbeat."""
        self._records.change("update runs set stopped = 1 where name = ?", name)

    def set_sweep_state(self, name: str, state: str) -> None:
        """Do what the page's buttons do: PAUSED, RUNNING, FINISHED or CANCELED."""
        self._records.change("update sweeps set state = ? where name = ?", state, name)

    def requests(self, since: int = 0) -> list[views.Request]:
        """What was asked, in order; `since` is how many requests to leave out (`len(double.requests())` before)."""
        return views.request_records(self._records, since)

    def writes(self, since: int = 0) -> list[views.Request]:
        """The requests that write."""
        return [request for request in self.requests(since) if request.writes]

    def unanswered(self, since: int = 0) -> list[str]:
        """What the double does not know and was asked for; a test that uses it should find none.

        Faults that were asked for, a wrong key and things that are not there are answers, and not in this list.
        """
        return [
            f"{request.operation}: {request.error}"
            for request in self.requests(since)
            if request.error and request.status == 400
        ]
