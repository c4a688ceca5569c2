"""The process that listens: opens the store, answers until it is told to end, and loses nothing that it accepted."""

import ipaddress
import logging
from pathlib import Path

import uvicorn

from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline.adapters.serving.served_log import ServedLog
from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.store.source_stores import open_store
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.service.app import create_app
from recsys_pipeline.service.opened import Holder
from recsys_pipeline.settings import Settings

IN_FLIGHT = 256
"""Requests at once; more are told to come again (503)."""
GRACE_S = 10


def served_folder(deployment: Settings, source: str) -> Path:
    """Where lists that were served are written down."""
    return deployment.home / "served" / source


def events_folder(deployment: Settings, source: str) -> Path:
    """Where events are accepted."""
    return deployment.home / "events" / source


def serve(deployment: Settings, host: str, port: int, deadline_s: float) -> None:
    """Serve until the process is told to end.

    Raises `SettingError` for an address that others can reach: the API has no keys yet, so put a proxy before it that
    checks who asks. Raises `ArtifactError` where nothing is served.
    """
    if not _is_loopback(host):
        raise SettingError(
            f"--host {host} can be reached from elsewhere, and this API asks nobody for a key: listen on 127.0.0.1, "
            "behind a proxy that does"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    source = open_source(deployment).name
    holder = Holder(open_store(deployment, source))
    app = create_app(
        holder, ServedLog(served_folder(deployment, source)), EventLog(events_folder(deployment, source)), deadline_s
    )
    logging.info("serving %s at http://%s:%s (docs at /docs)", holder.opened.served.told, host, port)
    uvicorn.run(app, host=host, port=port, log_level="warning", limit_concurrency=IN_FLIGHT, access_log=False,
                timeout_graceful_shutdown=GRACE_S, server_header=False)  # fmt: skip


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
