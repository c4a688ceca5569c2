"""HTTP: routes to GraphQL, the file stream, uploads and downloads; every request is noted, some fail as told."""

import base64
import hmac
import json
import socket
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from graphql import GraphQLSyntaxError

from recsys_pipeline_tests.wandb_double import runs
from recsys_pipeline_tests.wandb_double.faults import Fault, Faults
from recsys_pipeline_tests.wandb_double.files import Files
from recsys_pipeline_tests.wandb_double.graphql import QueryError, read_operation
from recsys_pipeline_tests.wandb_double.mutations import Mutations
from recsys_pipeline_tests.wandb_double.queries import Queries
from recsys_pipeline_tests.wandb_double.records import Records

UNSIGNED = "/storage/"
"""Below this a signature in the address takes the place of the key."""


class DroppedError(Exception):
    """The connection is to be closed without an answer."""


class DoubleServer(ThreadingHTTPServer):
    """A listening server and what its handlers share."""

    daemon_threads = True
    # Lost connections are part of the job; the default of 5 makes clients wait a second to be let in.
    request_queue_size = 128

    def __init__(self, records: Records, faults: Faults, key: str, entity: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.records = records
        self.faults = faults
        self.key = key
        self.entity = entity
        self.closing = threading.Event()

    def provide(self, files: Files) -> None:
        """Give the handlers their files, whose addresses need the port that is now known."""
        self.files = files
        self.queries = Queries(self.records, files, self.entity)
        self.mutations = Mutations(self.records, files, self.queries)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: DoubleServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests ask for `requests()`."""

    def do_GET(self) -> None:
        """Downloads."""
        self._serve("download", "download", self._download)

    def do_PUT(self) -> None:
        """Uploads to signed addresses."""
        self._serve("upload", "upload", self._upload)

    def do_POST(self) -> None:
        """GraphQL and the file stream."""
        path = urlsplit(self.path).path
        if path.endswith("/file_stream"):
            self._serve("file_stream", "file_stream", self._stream)
        elif path == "/graphql":
            self._graphql()
        else:
            self._serve(path, "unknown", self._unknown)

    def _graphql(self) -> None:
        body = json.loads(self._body())
        try:
            operation = read_operation(body["query"], body.get("variables"))
        except GraphQLSyntaxError as error:
            message = f"{error}\n{body['query']}"
            self._serve("syntax error", "unknown", lambda: _refuse(message))
            return
        root = self.server.queries.root if operation.kind == "query" else self.server.mutations.root

        def answer() -> bytes:
            with self.server.records.transaction():
                return json.dumps({"data": operation.execute(root())}).encode()

        self._serve(operation.name, operation.kind, answer, detail=body)

    def _serve(self, operation: str, kind: str, answer: Any, detail: Any = None) -> None:
        writes = kind in ("mutation", "file_stream", "upload")
        insert = "insert into requests (operation, kind, writes, detail) values (?, ?, ?, ?)"
        row = self.server.records.change(insert, operation, kind, writes, json.dumps(detail or self.path))
        fault = self.server.faults.strike(operation)
        error = None
        try:
            status, content = 200, self._answer(answer, fault)
        except DroppedError:
            self.server.records.update("requests", row, status=0, error="dropped")
            self._hang_up()
            return
        except QueryError as refused:
            status, error = refused.status, str(refused)
        except Exception:  # noqa: BLE001 (a bug of the double must show in the test, not as a retry of the client)
            status, error = 400, traceback.format_exc()
        if error is not None:
            content = json.dumps({"errors": [{"message": error}]}).encode()
        self.server.records.update("requests", row, status=status, error=error)
        self._reply(status, content, fault)

    def _answer(self, answer: Any, fault: Fault | None) -> bytes:
        self._body()
        if fault:
            self.server.closing.wait(fault.delay_s)
        if fault and fault.status:
            raise QueryError(f"the double was told to answer {fault.status}", fault.status)
        if fault and fault.drop == "before":
            raise DroppedError
        self._check_access()
        content = answer()
        if fault and fault.drop == "after":
            raise DroppedError
        return content

    def _check_access(self) -> None:
        if urlsplit(self.path).path.startswith(UNSIGNED):
            self.server.files.check_signature(self.path)
            return
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        key = base64.b64decode(given).decode().partition(":")[2] if kind == "Basic" else given
        if not hmac.compare_digest(key, self.server.key):
            raise QueryError("invalid API key", 401)

    def _stream(self) -> bytes:
        *_, entity, project, run, _ = unquote(urlsplit(self.path).path).split("/")
        with self.server.records.transaction():
            runs.append_stream(self.server.records, entity, project, run, json.loads(self._body()))
        return b"{}"

    def _upload(self) -> bytes:
        _, storage, kind, name = unquote(urlsplit(self.path).path).split("/", 3)
        if storage != "storage":
            self._unknown()
        records, files = self.server.records, self.server.files
        if kind == "artifact":
            files.keep(self._body(), expected=name)
            return b""
        blob, size = files.keep(self._body()), len(self._body())
        if kind == "manifest":
            records.change("update manifests set blob = ? where id = ?", blob, int(name))
        else:
            row, _, file = name.partition("/")
            records.change("update run_files set blob = ?, size = ? where run = ? and name = ?", blob, size, row, file)
        return b""

    def _download(self) -> bytes:
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if path.startswith("/storage/blob/"):
            return self.server.files.content(parts[-1])
        if parts[0] == "artifactsV2":
            return self.server.files.content(parts[-2])
        return self._unknown()

    def _unknown(self) -> bytes:
        return _refuse(f"{self.command} {self.path} is not known here", 404)

    def _body(self) -> bytes:
        if not hasattr(self, "_read"):
            self._read = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return self._read

    def _reply(self, status: int, content: bytes, fault: Fault | None) -> None:
        try:
            self.send_response(status)
            if fault and fault.retry_after_s is not None:
                self.send_header("Retry-After", f"{fault.retry_after_s:g}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True
        finally:
            del self._read

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _refuse(message: str, status: int = 400) -> bytes:
    raise QueryError(message, status)
