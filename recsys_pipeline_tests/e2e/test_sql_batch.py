"""A batch from a database, through the real assets: the same days as from the source that filled it."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.postgres import PASSWORD
from recsys_pipeline_tests.processes import exit_code

KEYS = ("dataset/interactions", "dataset/items", "dataset/snapshot", "folds/prequential")
DAY = "2026-01-02"
TOML = """
name = "shop"
url_env = "SHOP_URL"

[interactions]
table = "events"
watermark = "n"
time_unit = "us"
[interactions.columns]
user_id = "user_id"
item_id = "item_id"
event = "event"
value = "value"
timestamp = "at"
request_id = "request_id"
position = "position"
propensity = "propensity"
source_row = "n"

[items]
table = "items"
[items.columns]
item_id = "item_id"
title = "title"
"""


def materialize(environment: dict[str, str], home: Path) -> None:
    """Load the code location with these settings, run the assets, and write down what came out."""
    os.environ.update(environment)
    from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
    from recsys_pipeline_tests.deployment import Deployment, failure

    result = Deployment(home, tuple(environment.items())).materialize(*KEYS, day=DAY)
    store = ArtifactStore(str(home / "data" / "store" / "shop"), cache=home / "cache")
    found: dict[str, Any] = {"failure": "" if result.success else failure(result)}
    for day in store.partitions(KEYS[0]):
        found[day] = store.get(KEYS[0], day).manifest.digest
    found |= {key: store.get(key, DAY).manifest.metrics for key in KEYS if store.current(key, DAY)}
    (home / "found.json").write_text(json.dumps(found))


def fill(url: str, simulator: Simulator) -> None:
    """The marketplace's first days as tables, with times as microseconds since 1970."""
    window = Window.of_days(date(2026, 1, 1), date(2026, 1, 2))
    events = simulator.interactions(window).read_all().to_pylist()
    rows = [{**row, "n": n, "timestamp": int(row["timestamp"].timestamp() * 1e6)} for n, row in enumerate(events)]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as session:
        session.execute(sa.text(
            "create table events (n bigint, user_id text, item_id text, event text, value real, at bigint, "
            "request_id text, position int, propensity real)"
        ))  # fmt: skip
        session.execute(sa.text("create table items (item_id text, title text)"))
        names = ":n, :user_id, :item_id, :event, :value, :timestamp, :request_id, :position, :propensity"
        session.execute(sa.text(f"insert into events values ({names})"), rows)
        titles = simulator.items(window.end).select(["item_id", "title"]).to_pylist()
        session.execute(sa.text("insert into items values (:item_id, :title)"), titles)


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_a_batch_from_a_database_is_that_of_its_origin(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "shop.toml").write_text(TOML)
    simulator = Simulator(SIZES["tiny"])
    toml, home = str(tmp_path / "shop.toml"), str(tmp_path / "data")
    environment = {"RECSYS_SOURCE": "sql", "RECSYS_SOURCE_CONFIG": toml, "RECSYS_HOME": home, "WANDB_MODE": "disabled"}
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/shop.db"
        fill(url, simulator)
        assert exit_code(materialize, environment | {"SHOP_URL": url}, tmp_path) == 0
    else:
        with request.getfixturevalue("postgres").database() as url:
            fill(url, simulator)
            assert exit_code(materialize, environment | {"SHOP_URL": url}, tmp_path) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["failure"] == ""
    window = Window.of_days(date(2026, 1, 1), date(2026, 1, 2))
    for day in write_periods(simulator.interactions(window), window, tmp_path / "origin"):
        assert found[day.partition] == day.digest, "the same events, whatever they came through"
    assert found["dataset/interactions"]["quarantined"] == 0
    assert found["dataset/snapshot"]["days"] == 2
    assert found["folds/prequential"]["train_rows"] > 0
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content, path
            assert b"plant3d" not in content, path
