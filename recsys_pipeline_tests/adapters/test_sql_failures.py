"""What the SQL source says when something is wrong, and that it never says a password."""

import logging
import traceback
from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake.ingestion import ingest
from recsys_pipeline.adapters.sources.sql import SqlSource
from recsys_pipeline.adapters.sources.sql_config import load_sql_config
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.errors import RecsysError, SettingError, SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.sql_fixtures import COLUMNS, DAY, Shop, at
from recsys_pipeline_tests.postgres import PASSWORD

FIRST = Window.of_day(DAY)
SECTION = '[interactions]\ntable = "events"\nevent = "rating"\n[interactions.columns]\nuser_id = "customer"\n' \
          'item_id = "product"\nvalue = "stars"\ntimestamp = "at"\n'  # fmt: skip


def toml(folder: Path, top: str, section: str = SECTION) -> Path:
    path = folder / "shop.toml"
    path.write_text(f'name = "shop"\n{top}\n{section}')
    return path


def said(error: BaseException) -> str:
    """All that a log would show of an error, with everything that it came from."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"table": "event"}, r"no table event \(\[interactions\] table\); there are events"),
        ({"table": "", "query": "select nothing"}, "source shop cannot read the columns of the query of "),
        (
            {"columns": COLUMNS | {"value": "score"}},
            r"table events has no column 'score' \(interactions.columns.value\)",
        ),
        (
            {"watermark": "updated_at"},
            r"no column 'updated_at' \(interactions.watermark\); its columns are id, customer",
        ),
        ({"columns": COLUMNS | {"timestamp": "product", "item_id": "at"}}, "column product of table events holds text"),
        ({"columns": COLUMNS | {"timestamp": "stars"}, "time_unit": "native"}, "holds numbers: set time_unit to s"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(shop: Shop, changed: dict, message: str) -> None:
    shop.add((1, "lamp", 4.5, at(0)))
    if "time_unit" not in changed and shop.dialect == "sqlite" and "timestamp" in str(changed.get("columns")):
        changed = changed | {"time_unit": "native"}
    with pytest.raises(SourceError, match=message):
        shop.source(interactions=changed).interactions(FIRST).read_all()


def test_a_timestamp_column_is_not_read_as_text_or_numbers(postgres) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        shop.create()
        shop.add((1, "lamp", 4.5, at(0)))
        for unit in ("s", "iso"):
            with pytest.raises(SourceError, match='holds timestamps: set time_unit = "native"'):
                shop.source(interactions={"time_unit": unit}).days()


def test_a_column_of_the_wrong_type_names_the_value(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(0)))
    source = shop.source(interactions={"columns": COLUMNS | {"value": "product", "source_row": "id"}})
    (row,) = source.interactions(FIRST).read_all().to_pylist()
    assert row["defect"] == "value 'lamp' is not a number"


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ('url = "not a url"', "no SQLAlchemy URL"),
        ('url = "nosuch://host/db"', "no SQLAlchemy URL"),
        ('url = "mysql+pymysql://host/db"', "needs the driver pymysql, which is not installed"),
        ('url = "sqlite://"', "names no file"),
        ("", "give either url, or url_env"),
        ('url = "sqlite:///a.db"\nurl_env = "SHOP_URL"', "give either url, or url_env"),
        ('url_env = "SHOP_URL"', "environment variable SHOP_URL, which is not set"),
        ('url = "sqlite:///${NOWHERE_SET}/a.db"', "url needs the environment variable NOWHERE_SET"),
        ('url = "sqlite:///a.db"\ncolour = 1', "unknown key colour; valid keys here are name, .*url, url_env"),
        ('url = "sqlite:///a.db"\nends = "perhaps"', "ends: "),
    ],
)
def test_a_wrong_toml_is_refused_before_anything_is_asked(tmp_path: Path, top: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SqlSource.from_toml(toml(tmp_path, top))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (SECTION.replace('table = "events"', ""), "interactions: give either table or query"),
        (SECTION.replace('event = "rating"', ""), "interactions: give either event"),
        (SECTION + 'colour = "c"\n', "unknown key interactions.columns.colour; valid keys here are user_id"),
        (SECTION.replace('"events"', "7"), "interactions.table: "),
        ("", r"declare \[interactions\] or \[looks\]"),
    ],
)
def test_a_wrong_section_is_named(tmp_path: Path, section: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        load_sql_config(toml(tmp_path, 'url = "sqlite:///a.db"', section))


def test_a_relative_file_lies_beside_the_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    shop.create()
    shop.add((1, "lamp", 4.5, at(0)))
    monkeypatch.chdir("/")
    section = SECTION.replace('event = "rating"', 'event = "rating"\ntime_unit = "iso"')
    assert SqlSource.from_toml(toml(tmp_path, 'url = "sqlite:///shop.db"', section)).count(FIRST) == 1
    with pytest.raises(SourceError, match=r"cannot be reached at sqlite:///.*/none\.db: there is no file"):
        SqlSource.from_toml(toml(tmp_path, 'url = "sqlite:///none.db"')).days()
    assert not (tmp_path / "none.db").exists(), "nothing is made by looking"


def test_a_file_that_is_no_database_is_named_with_its_way_out(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("not a database, but longer than the header of one\n" * 100)
    with pytest.raises(SourceError, match=r"sqlite:///.*/shop\.db: file is not a database; check .* url"):
        SqlSource.from_toml(toml(tmp_path, 'url = "sqlite:///shop.db"')).days()


def test_a_table_that_may_not_be_read_is_named_with_its_way_out(postgres) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        shop.create()
        shop.run("create role stranger login password 'stranger'")
        try:
            stranger = Shop(f"postgresql+psycopg://stranger:stranger@{url.split('@')[1]}")
            with pytest.raises(SourceError, match=r"the columns of table events at .*permission denied.*grant select"):
                stranger.source().days()
        finally:
            shop.run("drop role stranger")


@pytest.mark.parametrize("what", ["refused", "absent", "no such database"])
def test_no_error_shows_the_password(postgres, tmp_path: Path, monkeypatch, caplog, what: str) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "wr0ng-" + PASSWORD if what == "refused" else PASSWORD
    url = postgres.url("nowhere" if what == "no such database" else "postgres", secret)
    if what == "absent":
        url = url.replace(str(postgres.folder), str(tmp_path))
    monkeypatch.setenv("SHOP_URL", url)
    source = SqlSource.from_toml(toml(tmp_path, 'url_env = "SHOP_URL"'))
    with pytest.raises(SourceError, match="source shop cannot be reached at postgresql:///") as caught:
        source.days()
    shown = said(caught.value) + caplog.text + repr(source.config) + repr(source.database._engine)
    shown += str(source.config.model_dump())
    for form in (secret, PASSWORD, url.split("@")[0].rsplit(":", 1)[1]):
        assert form not in shown


def recipe_of(source: SqlSource):
    return lambda day: Recipe(
        "dataset/interactions", day.isoformat(), (), {"source": source.fingerprint(Window.of_day(day))}, "v1", {}
    )


def test_no_file_that_is_written_holds_the_password(postgres, tmp_path: Path) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        shop.create()
        shop.add((1, "lamp", 4.5, at(0)), (2, "lamp", float("nan"), at(1)))
        source = shop.source()
        store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
        assert ingest(store, source, DAY, recipe_of(source), max_quarantine_share=0.9).artifacts
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        content = path.read_bytes()
        assert PASSWORD.encode() not in content
        assert b"plant3d" not in content


def test_a_connection_that_is_lost_leaves_nothing_half_written(postgres, tmp_path: Path) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        shop.create()
        # The rows are made as they are read, so that the server cannot have sent them all before it is cut off.
        slow = "select g as id, g as customer, 'p' || g as product, 1.0 as stars, g as changed, " \
               "timestamptz '2026-03-01 00:00Z' + g * interval '10 ms' as at " \
               "from generate_series(1, 300000) g"  # fmt: skip
        source = shop.source(batch_rows=1000, interactions={"table": "", "query": slow})
        stream = source.interactions(FIRST)
        first = stream.read_next_batch()
        assert first.num_rows == 1000
        shop.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                 "and datname = current_database()")  # fmt: skip
        with pytest.raises(
            SourceError, match=r"source shop broke off after \d+ rows of the query of \[interactions\]"
        ) as caught:
            stream.read_all()
        assert "plant3d" not in said(caught.value)

        cut = CutOff(shop.source(batch_rows=1000, interactions={"table": "", "query": slow}), shop)
        store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
        plain = lambda day: Recipe("dataset/interactions", day.isoformat(), (), {"source": "x"}, "v1", {})  # noqa: E731
        with pytest.raises(RecsysError, match="broke off after"):
            ingest(store, cut, DAY, plain, max_quarantine_share=0.0)
        assert store.partitions("dataset/interactions") == []
        assert list(store.staging.iterdir()) == []


class CutOff(SqlSource):
    """Its server ends the session after the first batch, each time."""

    def __init__(self, source: SqlSource, shop: Shop) -> None:
        super().__init__(source.config)
        self.shop = shop

    def days(self):
        from recsys_pipeline.core.dataset.sources import DayRange

        return DayRange(DAY, None)

    def _stream(self, window: Window):
        for number, batch in enumerate(super()._stream(window)):
            if number == 0:
                self.shop.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                              "and datname = current_database()")  # fmt: skip
            yield batch


def test_the_example_is_valid() -> None:
    path = Path(__file__).parents[2] / "conf" / "sources" / "sql-shop.toml"
    source = SqlSource(load_sql_config(path, {"SHOP_DATABASE_URL": "postgresql+psycopg://user:password@host/shop"}))
    assert source.provides == {"interactions", "items"}
    assert source.database.place == "postgresql://host/shop"
