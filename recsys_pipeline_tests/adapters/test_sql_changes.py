"""What the SQL source says of changes without reading rows: counts and the watermark, on PostgreSQL and SQLite."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql import marks_of
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.sql_fixtures import DAY, Shop, at, rows_of

FIRST, SECOND = Window.of_day(DAY), Window.of_day(DAY + timedelta(days=1))
HOUR = Window(at(10), at(11))


@pytest.mark.parametrize("change", ["insert", "update", "delete"])
def test_only_the_fingerprint_of_a_window_with_changes_changes(shop: Shop, change: str) -> None:
    shop.add((1, "lamp", 4.5, at(10.5)), (2, "lamp", 4.5, at(12)), (3, "lamp", 4.5, at(25)))
    found = shop.source()
    before = {window: found.fingerprint(window) for window in (FIRST, SECOND, HOUR)}
    assert len(set(before.values())) == 3
    assert before == {window: shop.source().fingerprint(window) for window in before}
    if change == "insert":
        shop.add((9, "late", 1, at(10.2)))
    elif change == "update":
        shop.run("update events set stars = 1, changed = 100 where id = 1")
    else:
        shop.run("delete from events where id = 1")
    after = {window: found.fingerprint(window) for window in before}
    assert [window for window in before if after[window] != before[window]] == [FIRST, HOUR]


def test_what_a_row_means_is_part_of_the_fingerprint_and_the_url_is_not(shop: Shop) -> None:
    shop.add((1, "lamp", 4.5, at(10.5)))
    assert shop.source(interactions={"event": "star"}).fingerprint(FIRST) != shop.source().fingerprint(FIRST)
    more = "&application_name=other" if shop.dialect == "postgresql" else "?timeout=9"
    assert Shop(shop.url + more).source().fingerprint(FIRST) == shop.source().fingerprint(FIRST)


def test_changes_at_and_below_the_greatest_watermark_are_seen(shop: Shop) -> None:
    shop.add((1, "lamp", 1, at(10.5)), (2, "lamp", 1, at(10.6)), (3, "lamp", 1, at(10.7)))
    shop.run("update events set changed = null where id = 2")
    found = shop.source()
    seen = [found.fingerprint(HOUR)]
    for change in ("changed = 3 where id = 1", "changed = 2 where id = 2"):
        shop.run(f"update events set stars = 5, {change}")
        seen.append(found.fingerprint(HOUR))
    assert len(set(seen)) == 3, "a row that joins the last second, and one that gets its first mark late"


@pytest.mark.parametrize("marks", ["numeric(14, 3)", "timestamp", "timestamptz"])
def test_a_watermark_may_be_of_any_kind_and_reads_the_same_each_time(postgres, marks: str) -> None:
    with postgres.database() as url:
        shop = Shop(url)
        value = "1772352000.125" if marks.startswith("numeric") else "timestamp '2026-03-01 10:00:00.125'"
        shop.run(
            f"create table events (id int, customer int, product text, stars real, at timestamptz, changed {marks})",
            f"insert into events values (1, 1, 'lamp', 1, '2026-03-01 10:30Z', {value})",
        )
        before = shop.source().fingerprint(HOUR)
        zone = f"alter database {sa.make_url(url).database} set timezone = 'UTC'"
        shop.run(zone, "update events set stars = 2")
        assert shop.source().fingerprint(HOUR) == before, "in another zone too"
        shop.run("update events set changed = changed + " + ("1" if marks.startswith("num") else "interval '1 ms'"))
        assert shop.source().fingerprint(HOUR) != before


def test_a_table_that_shrinks_to_nothing_is_told_and_read_as_nothing(shop: Shop) -> None:
    shop.add((1, "lamp", 1, at(10.5)), (2, "lamp", 1, at(10.6)))
    found = shop.source()
    before = found.fingerprint(HOUR)
    shop.run("delete from events")
    assert (found.fingerprint(HOUR) != before, found.count(HOUR), rows_of(found, HOUR)) == (True, 0, [])


def test_an_index_on_the_time_column_serves_rows_and_fingerprints(shop: Shop) -> None:
    shop.add(*((n % 50, f"p{n % 9}", 1, at(n * 0.05)) for n in range(3000)))
    shop.run("analyze events")
    found = shop.source()
    condition = found._clock.inside(SECOND)
    explain = "explain " if shop.dialect == "postgresql" else "explain query plan "
    for statement in (found._events.select().where(condition), marks_of(found._events, condition)):
        with found.database._session("events") as session:
            text = str(statement.compile(session, compile_kwargs={"literal_binds": True}))
            plan = " ".join(str(row) for row in session.execute(sa.text(explain + text.replace(":", r"\:"))))
        assert "events_at" in plan
        assert ("Index Cond: ((at >=" in plan) if shop.dialect == "postgresql" else ("(at>? AND at<?)" in plan)
