"""A web server on 127.0.0.1 that serves files and misbehaves on demand."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What the local server has and how it behaves; `requests` are the paths and ranges that it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    etag: str | None = '"one"'
    retry_after: str | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet: the tests look at `server.requests`."""

        def end_headers(self) -> None:
            if server.retry_after:
                self.send_header("Retry-After", server.retry_after)
            super().end_headers()

        def do_GET(self) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range")
            server.requests.append((name, asked))
            fault = server.faults.pop(0) if server.faults else ""
            if fault == "stall":
                release.wait(2)
                return
            if fault.isdigit() or name not in server.files:
                self.send_error(int(fault) if fault.isdigit() else 404)
                return
            self._send(server.files[name], asked, fault)

        def _send(self, content: bytes, asked: str | None, fault: str) -> None:
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if fault == "no range" or self.headers.get("If-Range", server.etag) != server.etag:
                start = 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if server.etag:
                self.send_header("ETag", server.etag)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = start + (len(content) - start) // 2 if fault == "drop" else len(content)
            if fault == "drip":
                for at in range(start, end):
                    self.wfile.write(content[at : at + 1])
                    if release.wait(0.05):
                        return
                return
            self.wfile.write(content[start:end])

    release = threading.Event()
    return Handler


@contextmanager
def local_server(files: dict[str, bytes]) -> Iterator[Server]:
    """A running server; it stops when the block ends."""
    state = Server(files=files)
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    running.daemon_threads = True
    state.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    running.shutdown()
    thread.join()
    running.server_close()
