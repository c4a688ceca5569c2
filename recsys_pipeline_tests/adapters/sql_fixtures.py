"""A small shop in a database, and the sources over it: the same battery runs on PostgreSQL and on SQLite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql import SqlSource
from recsys_pipeline.adapters.sources.sql_config import SqlConfig
from recsys_pipeline.core.time import Window

DAY = date(2026, 3, 1)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = {"user_id": "customer", "item_id": "product", "value": "stars", "timestamp": "at", "source_row": "id"}
TIME = {"postgresql": "timestamptz", "sqlite": "text"}


@dataclass
class Shop:
    """Table `events` (id, customer, product, stars, at, changed) in a fresh database; `changed` counts up."""

    url: str
    changes: int = 0
    clock: datetime = field(default=MIDNIGHT)

    @property
    def dialect(self) -> str:
        return sa.make_url(self.url).get_backend_name()

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection that may write, committed at the end."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            yield connection

    def run(self, *statements: str) -> None:
        with self.session() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def create(self) -> None:
        key = "bigserial primary key" if self.dialect == "postgresql" else "integer primary key"
        self.run(
            f"create table events (id {key}, customer bigint, product text, stars real, at {TIME[self.dialect]}, "
            "changed bigint)",
            "create index events_at on events (at, changed)",
        )

    def add(self, *events: tuple[int, str, float, datetime]) -> None:
        """Events as (customer, product, stars, time)."""
        rows = []
        for customer, product, stars, at in events:
            self.changes += 1
            told: Any = at if self.dialect == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
            rows.append({"c": customer, "p": product, "s": stars, "a": told, "n": self.changes})
        statement = "insert into events (customer, product, stars, at, changed) values (:c, :p, :s, :a, :n)"
        with self.session() as connection:
            connection.execute(sa.text(statement), rows)

    def config(self, **more: Any) -> dict[str, Any]:
        """The TOML's document; `interactions` are merged into the section."""
        unit = "native" if self.dialect == "postgresql" else "iso"
        events = {"table": "events", "watermark": "changed", "event": "rating", "time_unit": unit, "columns": COLUMNS}
        return {"name": "shop", "url": self.url, **more, "interactions": events | more.get("interactions", {})}

    def source(self, **more: Any) -> SqlSource:
        return SqlSource(SqlConfig.model_validate(self.config(**more)))


@pytest.fixture(params=["postgresql", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Shop]:
    """The shop, once in each kind of database, without events."""
    if request.param == "sqlite":
        found = Shop(f"sqlite:///{tmp_path}/shop.db")
        found.create()
        yield found
        return
    with request.getfixturevalue("postgres").database() as url:
        found = Shop(url)
        found.create()
        yield found


def at(hours: float) -> datetime:
    """So many hours after the first midnight."""
    return MIDNIGHT + timedelta(hours=hours)


def rows_of(source: SqlSource, window: Window) -> list[dict[str, Any]]:
    """What the source delivers, by row number."""
    return sorted(source.interactions(window).read_all().to_pylist(), key=lambda row: row["source_row"])
