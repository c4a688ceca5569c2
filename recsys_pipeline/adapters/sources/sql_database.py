"""A database that is only ever read: connections, streams, and errors that say what to mend but never a password."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from recsys_pipeline.core.errors import SettingError, SourceError

READ_ONLY = {
    "postgresql": "set session characteristics as transaction read only",
    "mysql": "set session transaction read only",
    "mariadb": "set session transaction read only",
    "sqlite": "pragma query_only = on",
}
"""What makes a session refuse to write; for other databases the user of the URL must be one that may only read."""
SHOWN = 300
"""Characters of a driver's message that are passed on."""


class ReadOnlyDatabase:
    """Runs select statements; every session is set read-only as it begins, and closed as it ends.

    Nothing is connected before the first statement. Raises `SettingError` for a URL that cannot be used.
    """

    def __init__(self, url: SecretStr, source: str) -> None:
        self.source = source
        try:
            self._url = sa.make_url(url.get_secret_value())
            self._url.get_dialect().import_dbapi()
        except (ArgumentError, NoSuchModuleError, ValueError):
            raise SettingError(
                f"the url of source {source} is no SQLAlchemy URL of a database that is known here: write "
                "dialect+driver://user:password@host:port/database, such as postgresql+psycopg://… or sqlite:///file.db"
            ) from None
        except ModuleNotFoundError as error:
            raise SettingError(
                f"the url of source {source} needs the driver {error.name}, which is not installed: "
                "for PostgreSQL, pip install 'recsys_pipeline[sql]'"
            ) from None
        if self.dialect == "sqlite" and self._url.database in (None, "", ":memory:"):
            raise SettingError(f"the url of source {source} names no file: write sqlite:///path/to/file.db")

    @cached_property
    def _engine(self) -> sa.Engine:
        """Sessions are not pooled: a process may fork, and runs are hours apart."""
        if self.dialect == "sqlite":
            engine = sa.create_engine(
                self._url, poolclass=NullPool, creator=lambda: _open_sqlite(str(self._url.database))
            )
        else:
            engine = sa.create_engine(self._url, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", self._begin_reading)
        return engine

    def _begin_reading(self, session: Any, _: Any) -> None:
        statement = READ_ONLY.get(self.dialect)
        if statement is not None:
            cursor = session.cursor()
            cursor.execute(statement)
            cursor.close()
            session.commit()

    def columns(self, origin: sa.FromClause, what: str) -> list[str]:
        """Names of the columns of a table or query."""
        statement = sa.select(sa.text("*")).select_from(origin).limit(0)
        with self._session(f"the columns of {what}") as session:
            return list(session.execute(statement).keys())

    def tables(self, schema: str | None) -> list[str]:
        """Names of the tables and views, for a message."""
        with self._session("its tables") as session:
            inspector = sa.inspect(session)
            return sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})

    @property
    def dialect(self) -> str:
        """Name of the kind of database: postgresql, sqlite, …"""
        return self._url.get_backend_name()

    def first(self, statement: sa.Select[*tuple[Any, ...]], what: str) -> Any:
        """The first value of a result, or None where it has no rows."""
        with self._session(what) as session:
            return session.execute(statement).scalar()

    def row(self, statement: sa.Select[*tuple[Any, ...]], what: str) -> Sequence[Any]:
        """The only row of a result."""
        with self._session(what) as session:
            return session.execute(statement).one()

    def stream(self, statement: sa.Select[*tuple[Any, ...]], batch_rows: int, what: str) -> Iterator[list[sa.Row[Any]]]:
        """The rows of a result, a batch at a time, from a cursor on the server where the driver has one.

        Raises `SourceError` where the connection is lost midway, which says how far the stream came.
        """
        rows = 0
        with self._session(what) as session:
            try:
                reading = session.execution_options(stream_results=True, yield_per=batch_rows).execute(statement)
                for batch in reading.partitions():
                    rows += len(batch)
                    yield list(batch)
            except SQLAlchemyError as error:
                if not rows:
                    raise
                raise SourceError(
                    f"source {self.source} broke off after {rows} rows of {what}: {self._said(error)}"
                ) from None

    @contextmanager
    def _session(self, what: str) -> Iterator[sa.Connection]:
        try:
            session = self._engine.connect()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise SourceError(
                f"source {self.source} cannot be reached at {self.place}: {self._said(error)}; "
                "check its url and that the database is up"
            ) from None
        try:
            with session:
                yield session
        except SQLAlchemyError as error:
            raise SourceError(
                f"source {self.source} cannot read {what} at {self.place}: {self._said(error)}; {self._way_out(error)}"
            ) from None

    @property
    def place(self) -> str:
        """Dialect, host and database, without user and password."""
        url = self._url
        host = f"{url.host}:{url.port}" if url.host and url.port else url.host or ""
        return f"{self.dialect}://{host}/{url.database or ''}"

    def _way_out(self, error: SQLAlchemyError) -> str:
        if getattr(getattr(error, "orig", None), "sqlite_errorname", "") == "SQLITE_NOTADB":
            return "check that its url names the file of the database"
        return "check the section of its TOML, and that the user of its url may read it (grant select)"

    def _said(self, error: Exception) -> str:
        """The driver's own words in one line, without the statement and without the password."""
        words = " ".join(str(getattr(error, "orig", None) or error).split())
        password = str(self._url.password or "")
        for secret in (self._url.render_as_string(hide_password=False), password, quote(password)):
            words = words.replace(secret, "***") if secret else words
        return words[:SHOWN]


def _open_sqlite(path: str) -> sqlite3.Connection:
    """A file opened for reading; DuckDB may pull a stream from a thread of its own, one at a time."""
    if not Path(path).is_file():
        raise sqlite3.OperationalError(f"there is no file {path}")
    return sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)
