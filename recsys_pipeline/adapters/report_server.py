"""Reports over HTTP, to read only: a browser follows no `file://` link from a page that came over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import SettingError


class _Pages(SimpleHTTPRequestHandler):
    """Files of one folder; no lists of folders, no hidden files, nothing that a link leads to outside."""

    def send_head(self) -> Any:
        """What GET and HEAD send, or 404 for what is no page of the folder."""
        root, path = Path(self.directory).resolve(), Path(self.translate_path(self.path)).resolve()
        if path.is_dir():
            path /= "index.html"
        is_inside = path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)
        if not is_inside or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND, "no such page")
            return None
        return super().send_head()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is the UI's."""


@contextmanager
def serving(folder: Path, host: str, port: int) -> Iterator[str]:
    """Serve a folder, now or once it is there, while the body runs; gives its address.

    Raises `SettingError` where the port is taken.
    """
    try:
        server = ThreadingHTTPServer((host, port), partial(_Pages, directory=str(folder)))
    except OSError as error:
        raise SettingError(
            f"reports cannot be served at {host}:{port} ({error.strerror}): set RECSYS_REPORTS_AT to a free port, as "
            "127.0.0.1:3002"
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
