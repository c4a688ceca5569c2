"""The SQL source, on PostgreSQL and SQLite: what it delivers, what it says of changes, and that it only reads."""

import uuid
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from recsys_pipeline.adapters.sources import sql_edges
from recsys_pipeline.adapters.sources.sql import DELIVERED, SqlSource
from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.sources import CountsRows, DayRange, Source
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.sql_fixtures import COLUMNS, DAY, Shop, at, rows_of

FIRST, SECOND = Window.of_day(DAY), Window.of_day(DAY + timedelta(days=1))
HOUR = Window(at(10), at(11))


def test_it_is_a_source_that_can_count(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(0)))
    found = shop.source()
    assert isinstance(found, Source)
    assert isinstance(found, CountsRows)
    assert (found.name, found.provides) == ("shop", {"interactions"})


def test_windows_are_half_open_to_the_microsecond(shop: Shop) -> None:
    edges = [at(0), at(24) - timedelta(microseconds=1), at(24), at(10), at(11) - timedelta(microseconds=1), at(11)]
    shop.add(*((number, "lamp", 4.5, moment) for number, moment in enumerate(edges)))
    found = shop.source()
    assert [row["user_id"] for row in rows_of(found, FIRST)] == ["0", "1", "3", "4", "5"]
    assert [row["user_id"] for row in rows_of(found, SECOND)] == ["2"]
    assert [row["user_id"] for row in rows_of(found, HOUR)] == ["3", "4"]
    assert [found.count(window) for window in (FIRST, SECOND, HOUR)] == [5, 1, 2]


def test_a_row_carries_the_contract_and_where_it_came_from(shop: Shop) -> None:
    shop.add((7, "lamp", 4.5, at(10.5)))
    stream = shop.source().interactions(FIRST)
    assert stream.schema == DELIVERED
    assert stream.read_all().to_pylist() == [
        {"user_id": "7", "item_id": "lamp", "event": "rating", "value": 4.5, "timestamp": at(10.5), "request_id": None,
         "position": None, "propensity": None, "source_file": "events", "source_row": 1, "defect": None,
         "filed_at": None}
    ]  # fmt: skip


def test_days_begin_with_the_first_row_and_go_on_unless_the_source_ends(shop: Shop) -> None:
    shop.add((1, "lamp", 1, at(30)), (2, "sofa", 2, at(99)), (3, "oven", 2, datetime.now(UTC) + timedelta(days=9)))
    assert shop.source().days() == DayRange(date(2026, 3, 2), None)
    assert shop.source(ends=True).days() == DayRange(date(2026, 3, 2), date(2026, 3, 5)), "the future is no end"


def test_a_table_without_rows_is_named(shop: Shop) -> None:
    with pytest.raises(SourceError, match="table events has no row with a time up to today"):
        shop.source().days()


def test_rows_without_a_time_come_with_every_window_and_count_for_none(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(1)), (2, "lamp", 4.5, at(25)))
    shop.run("insert into events (customer, product, stars, changed) values (3, 'lost', 1, 99)")
    found = shop.source()
    assert [row["item_id"] for row in rows_of(found, FIRST)] == ["lamp", "lost"]
    assert [row["item_id"] for row in rows_of(found, SECOND)] == ["lamp", "lost"]
    assert (found.count(FIRST), found.count(SECOND), found.count(HOUR)) == (1, 1, 0)


def test_a_row_of_1970_is_no_first_day_and_is_told(shop: Shop) -> None:
    shop.add(*((number, "lamp", 1.0, at(number)) for number in range(70)))
    shop.add((7, "old", 1.0, datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)))
    found = shop.source()
    assert found.days().first == DAY
    (old,) = [row for row in rows_of(found, SECOND) if row["item_id"] == "old"]
    assert "timestamp 1970-01-01 00:00:05" in old["defect"]
    assert "lies months away from all other rows" in old["defect"]
    assert [row["item_id"] for row in rows_of(shop.source(first_day=DAY), FIRST)].count("old") == 0
    assert shop.source(interactions={"max_gap_days": 30_000}).days().first == date(1970, 1, 1)


def test_a_lone_row_behind_the_end_of_an_archive_is_no_last_day(shop: Shop) -> None:
    shop.add(*((number, "lamp", 1.0, at(number) - timedelta(days=900)) for number in range(70)))
    shop.add((7, "new", 1.0, at(0)))
    found = shop.source(ends=True)
    assert found.days().last == DAY - timedelta(days=898)
    assert [row["item_id"] for row in rows_of(found, Window.of_day(DAY - timedelta(days=900)))].count("new") == 1


def test_few_rows_of_the_edges_tell_of_a_large_table(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_edges, "EDGE_ROWS", 5)
    shop.add(*((number, "lamp", 1.0, at(number)) for number in range(150)))
    shop.add((7, "old", 1.0, at(-24 * 200)))
    assert shop.source(ends=True).days() == DayRange(DAY, DAY + timedelta(days=6))


def test_days_are_written_the_same_as_one_range_or_one_by_one(shop: Shop, tmp_path) -> None:
    shop.add(*((n % 7, f"p{n % 5}", n % 4, at(n * 0.37)) for n in range(150)))
    found = shop.source(batch_rows=11)
    both = Window(FIRST.start, SECOND.end)
    together = write_periods(found.interactions(both), both, tmp_path / "together")
    for window, day in zip((FIRST, SECOND), together, strict=True):
        (alone,) = write_periods(found.interactions(window), window, tmp_path / str(day.day))
        assert (alone.digest, alone.rows) == (day.digest, day.rows)


def test_writing_is_refused(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(10.5)))
    found = shop.source()
    for statement in ("delete from events", "insert into events (id) values (9)", "create table mine (id int)"):
        with found.database._session("events") as session, pytest.raises(DBAPIError, match=r"read-?only"):
            session.execute(sa.text(statement))
    assert found.count(FIRST) == 1


def test_a_query_serves_as_a_table_does(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(1)), (2, "sofa", 1.5, at(2)))
    query = "select id, customer, product as thing, stars * 2 as score, at, changed from events where product <> ':x%';"
    columns = COLUMNS | {"item_id": "thing", "value": "score"}
    found = shop.source(interactions={"table": "", "query": query, "columns": columns})
    rows = rows_of(found, FIRST)
    assert [(row["item_id"], row["value"]) for row in rows] == [("lamp", 9.0), ("sofa", 3.0)]
    assert rows[0]["source_file"] == "query of [interactions]"
    assert found.count(FIRST) == 2


def test_events_take_their_values_from_the_toml(shop: Shop) -> None:
    shop.add((1, "lamp", 0, at(1)), (2, "sofa", 0, at(2)))
    shop.run("alter table events add column kind text", "update events set kind = 'click' where id = 1",
             "update events set kind = 'stare' where id = 2")  # fmt: skip
    columns = {name: found for name, found in COLUMNS.items() if name != "value"} | {"event": "kind"}
    rows = rows_of(shop.source(interactions={"event": None, "values": {"click": 2.0}, "columns": columns}), FIRST)
    assert [(row["event"], row["value"], row["defect"]) for row in rows] == [
        ("click", 2.0, None),
        ("stare", None, "event 'stare' has no value: add it to interactions.values"),
    ]


def test_the_catalogue_is_read_as_of_a_day(shop: Shop) -> None:
    time = "timestamp" if shop.dialect == "postgresql" else "integer"
    born = ["timestamp '2026-03-01 12:00:00'", "timestamp '2026-03-02 00:00:00'"]
    if shop.dialect == "sqlite":
        born = [str(int(moment.timestamp())) for moment in (at(12), at(24))]
    shop.run(
        f"create table products (sku text, name text, tags text, price numeric, on_sale boolean, born {time})",
        f"insert into products values ('lamp', 'Lamp', 'light|wood', 19.5, true, {born[0]}), "
        f"('sofa', null, '', null, false, {born[1]}), ('oven', 'Oven', null, 3, true, null)",
    )
    columns = {"item_id": "sku", "title": "name", "categories": "tags", "price": "price", "available": "on_sale",
               "created_at": "born"}  # fmt: skip
    unit = "native" if shop.dialect == "postgresql" else "s"
    found = shop.source(items={"table": "products", "columns": columns, "time_unit": unit})
    assert [row["item_id"] for row in found.items(at(24)).to_pylist()] == ["lamp", "oven"], "sofa is born at midnight"
    lamp, sofa, oven = (found.items(at(48)).drop_columns(["item_id", "image", "source_file", "source_row"])
                        .to_pylist())  # fmt: skip
    assert lamp == {"title": "Lamp", "categories": ["light", "wood"], "price": 19.5, "available": True,
                    "created_at": at(12), "defect": None}  # fmt: skip
    assert (sofa["title"], sofa["categories"], sofa["price"], sofa["available"]) == ("", [], None, False)
    assert oven["categories"] == []
    before = found.fingerprint(FIRST, "items"), found.fingerprint(FIRST, "interactions") if shop.changes else ""
    shop.run("insert into products (sku) values ('new')")
    assert found.fingerprint(FIRST, "items") != before[0]


def test_looks_are_read_with_their_boxes_and_images(shop: Shop, tmp_path) -> None:
    shop.run(
        "create table looks (scene text, product text, kind text, a text, b text, l real, t real, r real, m real)",
        "insert into looks values ('s', 'p', 'lamp', 's.png', 'p.png', 0.25, 0.25, 0.5, 0.5), "
        "('s', 'q', 'sofa', 's.png', 'q.png', null, null, null, null)",
    )
    columns = {"scene_id": "scene", "product_id": "product", "category": "kind", "scene_image": "a",
               "product_image": "b", "left": "l", "top": "t", "right": "r", "bottom": "m"}  # fmt: skip
    document = shop.config(looks={"table": "looks", "columns": columns}, root=tmp_path, first_day=DAY)
    from recsys_pipeline.adapters.sources.sql_config import SqlConfig

    found = SqlSource(SqlConfig.model_validate({**document, "interactions": None}))
    assert found.provides == {"looks"}
    assert found.days() == DayRange(DAY, None)
    assert found.looks(at(0)).column("bbox").to_pylist() == [[0.25, 0.25, 0.5, 0.5], None]
    (tmp_path / "p.png").write_bytes(b"png")
    assert found.image("p.png") == b"png"
    with pytest.raises(SourceError, match="leads out of"):
        found.image("../p.png")


def test_naive_times_are_utc_and_aware_ones_are_brought_to_it(postgres) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        shop.run(
            "create table events (id int, customer uuid, product varchar(9), stars numeric, at timestamp, "
            "aware timestamptz)",
            "insert into events values (1, '00000000-0000-0000-0000-00000000000a', 'lamp', 4.5, "
            "'2026-03-01 23:30:00', '2026-03-02 08:30:00+09')",
        )
        naive = shop.source(interactions={"watermark": None})
        aware = shop.source(interactions={"watermark": "aware", "columns": COLUMNS | {"timestamp": "aware"}})
        for found in (naive, aware):
            (row,) = rows_of(found, FIRST)
            assert row["timestamp"] == at(23.5), "whatever the server's own zone, which is Tokyo here"
            assert (row["user_id"], row["value"]) == (str(uuid.UUID(int=10)), 4.5)
            assert found.days().first == DAY
            assert rows_of(found, SECOND) == []
        shop.run("set time zone 'UTC'", "update events set aware = '2026-03-01 23:30:00+00'")
        assert aware.fingerprint(FIRST) == shop.source(
            interactions={"watermark": "aware", "columns": COLUMNS | {"timestamp": "aware"}}
        ).fingerprint(FIRST)


@pytest.mark.parametrize(
    ("unit", "separator", "told"),
    [
        ("iso", "T", "'2026-03-01T10:30:00Z'"),
        ("iso", " ", "'2026-03-01 10:30:00+00:00'"),
        ("iso", " ", "'2026-03-01 10:30'"),
        ("s", " ", str(int(at(10.5).timestamp()))),
        ("s", " ", f"{at(10.5).timestamp():.1f}"),
        ("ms", " ", str(int(at(10.5).timestamp()) * 1000)),
        ("us", " ", str(int(at(10.5).timestamp()) * 1_000_000)),
    ],
)
def test_text_and_numbers_are_times_in_utc(tmp_path, unit: str, separator: str, told: str) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    shop.run("create table events (id, customer, product, stars, at, changed)",
             f"insert into events values (1, 7, 'lamp', 4.5, {told}, 1)")  # fmt: skip
    found = shop.source(interactions={"time_unit": unit, "time_separator": separator})
    assert [row["timestamp"] for row in rows_of(found, HOUR)] == [at(10.5)]
    assert rows_of(found, Window(at(11), at(12))) == rows_of(found, Window(at(9), at(10))) == []


@pytest.mark.parametrize("told", ["10:00", "10:00:00", "10:00:00.000", "10:00Z", "10:00:00+00"])
def test_the_first_moment_of_an_hour_is_in_it_however_it_is_written(tmp_path, told: str) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    shop.run("create table events (id, customer, product, stars, at, changed)",
             f"insert into events values (1, 7, 'lamp', 4.5, '2026-03-01 {told}', 1)")  # fmt: skip
    found = shop.source()
    assert [row["timestamp"] for row in rows_of(found, HOUR)] == [at(10)]
    assert rows_of(found, Window(at(9), at(10))) == []


def test_text_that_is_no_time_is_delivered_once_as_a_defect(shop: Shop) -> None:
    """In every kind of database, whatever its collation."""
    told = ("2026-03-01 10:00:00", "soon", "", "-", "2026-03-02 10:00:00")
    shop.run("create table told (id int, customer int, product text, stars real, at text, changed int)",
             *(f"insert into told values ({n}, 1, 'lamp', 1, '{text}', 1)" for n, text in enumerate(told)))  # fmt: skip
    found = shop.source(interactions={"table": "told", "time_unit": "iso"})
    assert [(row["source_row"], row["defect"] is None) for row in rows_of(found, FIRST)] == [
        (0, True), (1, False), (2, False), (3, False)
    ]  # fmt: skip
    assert [row["source_row"] for row in rows_of(found, SECOND)] == [1, 2, 3, 4], "which day keeps them the store knows"
    assert (found.count(FIRST), found.count(SECOND)) == (1, 1)


def test_text_that_begins_with_a_date_and_is_no_time_is_filed_under_that_date(shop: Shop) -> None:
    told = ("2026-03-01 10:00:00", "2026-03-01 soon", "2026-03-02 10:00:00", "2026-03-02 late")
    shop.run("create table told (id int, customer int, product text, stars real, at text, changed int)",
             *(f"insert into told values ({n}, 1, 'lamp', 1, '{text}', 1)" for n, text in enumerate(told)))  # fmt: skip
    found = shop.source(interactions={"table": "told", "time_unit": "iso"})
    both = rows_of(found, Window(FIRST.start, SECOND.end))
    assert [row["filed_at"] for row in both] == [None, FIRST.start, None, SECOND.start]
    assert [row["filed_at"] for row in rows_of(found, SECOND)] == [None, SECOND.start]


def test_values_of_the_wrong_type_are_defects_of_their_rows(tmp_path) -> None:
    """SQLite keeps any value in any column; a strict database could not hold these."""
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    shop.run(
        "create table events (id, customer, product, stars, at, changed, place)",
        "insert into events values (1, 'ann', 'lamp', 'five', '2026-03-01 10:00:00', 1, 2), "
        "(2, x'00', 'lamp', 5, '2026-03-01 10:00:00+05:00', 1, 2), "
        "(3, 'ann', 'lamp', 5, '2026-03-01T10:00:00', 1, 2.5), "
        "(4, 'ann', 'lamp', 5, 'long ago', 1, 3000000000), (5, 2.0, 3, 2, '2026-03-01 10:00:00', 1, 1)",
    )
    rows = rows_of(shop.source(interactions={"columns": COLUMNS | {"position": "place"}}), FIRST)
    assert [row["defect"] for row in rows] == [
        "value 'five' is not a number",
        "user_id b'\\x00' is not text or a whole number",
        "timestamp '2026-03-01T10:00:00' is not a time in UTC such as 2026-01-05 10:00:00",
        "timestamp 'long ago' is not a time in UTC such as 2026-01-05 10:00:00",
        None,
    ]
    assert (rows[4]["user_id"], rows[4]["item_id"], rows[4]["position"]) == ("2", "3", 1)


def test_every_value_of_an_epoch_beyond_all_years_is_delivered_as_a_defect(tmp_path) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    shop.run("create table events (id, customer, product, stars, at, changed)",
             f"insert into events values (1, 7, 'lamp', 4.5, {int(at(1).timestamp())}, 1), "
             "(2, 7, 'lamp', 4.5, 9999999999999, 1), (3, 7, 'lamp', 4.5, 'soon', 1)")  # fmt: skip
    rows = rows_of(shop.source(interactions={"time_unit": "s"}), FIRST)
    assert [row["defect"] for row in rows] == [
        None, "timestamp 9999999999999 is not an epoch in s", "timestamp 'soon' is not an epoch in s",
    ]  # fmt: skip
    assert pa.types.is_timestamp(DELIVERED.field("timestamp").type)


@pytest.mark.parametrize(("unit", "old"), [("s", "-86400"), ("iso", "'0001-12-10 08:26'"), ("iso", "'12-01-10'")])
def test_a_year_that_cannot_be_moves_no_first_day_and_is_a_defect(tmp_path, unit: str, old: str) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    good = int(at(1).timestamp()) if unit == "s" else f"'{at(1):%Y-%m-%d %H:%M:%S}'"
    shop.run("create table events (id, customer, product, stars, at, changed)",
             f"insert into events values (1, 7, 'lamp', 4.5, {good}, 1), (2, 7, 'lamp', 4.5, {old}, 1)")  # fmt: skip
    found = shop.source(interactions={"time_unit": unit})
    assert found.days().first == FIRST.start.date()
    assert [row["defect"] is None for row in rows_of(found, FIRST)] == [True, False]
