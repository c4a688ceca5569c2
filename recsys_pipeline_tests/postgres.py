"""A PostgreSQL of the tests' own, from Debian's packages: one for the session, in a folder that goes when it ends."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

PASSWORD = "plant3d: s%cret@word"
USER = "shop"
START_S = 30


@dataclass(frozen=True)
class Postgres:
    """A running server that listens on a socket in `folder` only, and asks for `PASSWORD`."""

    folder: Path

    def url(self, database: str, password: str = PASSWORD) -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{USER}:{quote(password, safe='')}@/{database}?host={self.folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """URL of a fresh database, dropped afterwards."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"create database {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"drop database {name} with (force)")

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction."""
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as session:
            session.execute(sa.text(statement))


def find_binaries() -> Path | None:
    """Folder of the newest server's programs, where there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server, started when the first test asks for it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is absent: install Debian's package postgresql")
    with running(binaries) as server:
        yield server


@contextmanager
def running(binaries: Path) -> Iterator[Postgres]:
    """A server for as long as the body runs; PostgreSQL refuses to run as root, so it runs as nobody then."""
    folder = Path(tempfile.mkdtemp(prefix="recsys-pg-"))
    owner: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    (folder / "password").write_text(PASSWORD)
    if owner:
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody", "nogroup")
    init = [binaries / "initdb", "-D", folder / "data", "-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync",
            "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"]  # fmt: skip
    subprocess.run(init, check=True, capture_output=True, cwd=folder, **owner)
    settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "shared_buffers": "32MB",
                "max_connections": 20, "timezone": "Asia/Tokyo"}  # fmt: skip
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[Any] = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, cwd=folder, **owner
        )
    try:
        server = Postgres(folder)
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(server: Postgres, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return server.execute("select 1")
        except OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(server.folder / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
