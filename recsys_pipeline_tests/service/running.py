"""The service as its users meet it: a real server on loopback over a tiny promoted release."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline.adapters.serving.releases import promote_if_newer
from recsys_pipeline.adapters.serving.served_log import ServedLog
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.service.app import create_app
from recsys_pipeline.service.opened import Holder
from recsys_pipeline_tests.adapters.release_artifacts import decided, recipe
from recsys_pipeline_tests.release_fixtures import DAY, tiny_release


@dataclass
class Service:
    """A running server and what stands behind it."""

    client: httpx.Client
    holder: Holder
    store: ArtifactStore
    home: Path

    @property
    def served(self) -> Path:
        return self.home / "served"

    @property
    def events(self) -> Path:
        return self.home / "events"


def promoted(store: ArtifactStore, home: Path, day: str = DAY, text: str = "", **changes: Any) -> Artifact:
    """A tiny release of a day, promoted."""
    folder = tiny_release(home / f"made-{day}-{text}", day=day, **changes).directory

    def build(staged: Path) -> Built:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        return Built({})

    made = store.build(recipe("serving/release", day, text=text), build)
    promote_if_newer(store, made, decided(store, made))
    return made


@contextmanager
def running(home: Path, deadline_s: float = 30.0) -> Iterator[Service]:
    """Serve the store of a home until the block ends."""
    store = ArtifactStore(str(home / "store"), home / "cache")
    holder = Holder(store, home / "policies")
    app = create_app(holder, ServedLog(home / "served"), EventLog(home / "events"), deadline_s)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
            until(lambda: server.started)
            yield Service(client, holder, store, home)
    finally:
        server.should_exit = True
        thread.join()


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds; fails where it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)
