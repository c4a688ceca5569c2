"""What the double remembers, in one SQLite file; every table is a noun of W&B."""

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = """
create table runs (
    id integer primary key, entity text not null, project text not null, name text not null,
    display_name text, state text not null default 'running', config text not null default '{}',
    summary text not null default '{}', group_name text, job_type text, tags text not null default '[]', notes text,
    sweep text, description text, commit_hash text, host text, program text, stopped integer not null default 0,
    exit_code integer, created text not null, heartbeat text not null, unique (entity, project, name)
);
create table stream (
    run integer not null references runs, file text not null, line integer not null, content text not null,
    primary key (run, file, line)
);
create table run_files (
    run integer not null references runs, name text not null, blob text, size integer not null default 0,
    primary key (run, name)
);
create table alerts (run integer not null references runs, title text not null, text text not null, severity text);
create table collections (
    id integer primary key, entity text not null, project text not null, type text not null, name text not null,
    created text not null, unique (entity, project, name)
);
create table artifacts (
    id integer primary key, collection integer not null references collections, version integer, digest text not null,
    state text not null default 'PENDING', metadata text, description text, client_id text,
    run integer references runs, created text not null, manifest text, wanted text not null default '[]',
    tags text not null default '[]', size integer not null default 0, files integer not null default 0
);
create table client_ids (client_id text primary key, artifact integer not null references artifacts);
create table manifests (
    id integer primary key, artifact integer not null references artifacts, name text not null, type text not null,
    digest text, blob text
);
create table aliases (
    collection integer not null references collections, alias text not null,
    artifact integer not null references artifacts, primary key (collection, alias)
);
create table edges (
    run integer not null references runs, artifact integer not null references artifacts, direction text not null,
    primary key (run, artifact, direction)
);
create table sweeps (
    id integer primary key, entity text not null, project text not null, name text not null, config text not null,
    state text not null default 'RUNNING', display_name text, description text, controller text, scheduler text,
    created text not null, unique (entity, project, name)
);
create table trials (
    sweep integer not null references sweeps, number integer not null, run text not null, agent integer,
    arguments text not null, primary key (sweep, number)
);
create table agents (
    id integer primary key, sweep integer not null references sweeps, host text not null,
    state text not null default 'RUNNING', beats integer not null default 0, created text not null,
    heartbeat text not null
);
create table requests (
    id integer primary key, operation text not null, kind text not null, writes integer not null, status integer,
    error text, detail text
);
"""


class Records:
    """One connection that the threads of the server share, one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        # A test's state need not survive a power cut, and syncing costs milliseconds a request.
        self._connection.executescript("pragma synchronous = off; pragma foreign_keys = on;" + SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the body's changes, or none where it raises; nested ones belong to the outermost."""
        with self._lock:
            self._depth += 1
            outermost = self._depth == 1
            if outermost:
                self._connection.execute("begin")
            try:
                yield
            except BaseException:
                if outermost:
                    self._connection.execute("rollback")
                raise
            else:
                if outermost:
                    self._connection.execute("commit")
            finally:
                self._depth -= 1

    def all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Every row of a query, as dictionaries."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]

    def one(self, query: str, *values: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        with self._lock:
            row = self._connection.execute(query, values).fetchone()
            return dict(row) if row else None

    def change(self, query: str, *values: Any) -> int:
        """Run a statement that writes; gives the id of the row that it inserted."""
        with self._lock:
            return self._connection.execute(query, values).lastrowid or 0

    def update(self, table: str, row: int, **columns: Any) -> None:
        """Set columns of the row with this id; those that are None stay as they are."""
        given = {name: value for name, value in columns.items() if value is not None}
        if given:
            assigned = ", ".join(f"{name} = ?" for name in given)
            self.change(f"update {table} set {assigned} where id = ?", *given.values(), row)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def now() -> str:
    """The time as W&B writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def opaque(kind: str, row: int) -> str:
    """The id that clients see; base64 because the client decodes an artifact's id in references to it."""
    return base64.b64encode(f"{kind}:{row}".encode()).decode()


def row_of(identifier: str) -> int:
    """The row behind a client's id."""
    return int(base64.b64decode(identifier).decode().rpartition(":")[2])


def parsed(text: str | None) -> dict[str, Any]:
    """A JSON object, or an empty one for nothing."""
    return json.loads(text) if text else {}
