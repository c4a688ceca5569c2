"""Reads tables of two sizes from PostgreSQL through the SQL source: rows a second, peak memory, cost of fingerprints.

    python -m recsys_pipeline_tests.benchmarks.bench_sql --rows 500000 2000000

Each size is read by a process of its own. All rows lie in ten days; an hour and a day are fingerprinted out of them.
"""

import argparse
import resource
import statistics
import time
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context

import sqlalchemy as sa

from recsys_pipeline.adapters.sources.sql import SqlSource
from recsys_pipeline.adapters.sources.sql_config import SqlConfig
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.postgres import find_binaries, running

FIRST, DAYS = date(2026, 3, 1), 10
COLUMNS = {"user_id": "customer", "item_id": "product", "value": "stars", "timestamp": "at", "source_row": "id"}
REPEATS = 5


def main() -> None:
    """Fill a table of each size, read it, print a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 2_000_000])
    sizes = parser.parse_args().rows
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("PostgreSQL is absent: install Debian's package postgresql")
    print(f"{'rows':>10} {'read s':>8} {'rows/s':>9} {'peak MiB':>9} {'of which before':>16} "
          f"{'day ms':>7} {'hour ms':>8} {'count ms':>9}")  # fmt: skip
    with running(binaries) as server:
        for rows in sizes:
            with server.database() as url:
                _fill(url, rows)
                with get_context("spawn").Pool(1) as pool:
                    print(pool.apply(_measure, (url, rows)), flush=True)


def _fill(url: str, rows: int) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    step = timedelta(days=DAYS) / rows
    with engine.connect() as session:
        for statement in (
            "create table events "
            "(id bigint, customer bigint, product text, stars real, at timestamptz, changed bigint)",
            "insert into events select n, n % 50000, 'p' || n % 20000, n % 5, timestamptz '2026-03-01 00:00Z' "
            f"+ n * interval '{step.total_seconds():.6f} s', n from generate_series(0, {rows - 1}) n",
            "create index on events (at, changed)",
            "vacuum analyze events",
        ):
            session.execute(sa.text(statement.replace(":", r"\:")))


def _measure(url: str, rows: int) -> str:
    section = {"table": "events", "watermark": "changed", "event": "rating", "columns": COLUMNS}
    source = SqlSource(SqlConfig.model_validate({"name": "shop", "url": url, "interactions": section}))
    whole = Window.of_days(FIRST, FIRST + timedelta(days=DAYS - 1))
    hour = Window.of_hour(datetime(2026, 3, 4, 5, tzinfo=UTC))
    source.days()
    before = _peak_mib()
    started = time.monotonic()
    read = sum(batch.num_rows for batch in source.interactions(whole))
    seconds, peak = time.monotonic() - started, _peak_mib()
    assert read == rows, f"{read} of {rows} rows"
    day_ms = _milliseconds(lambda: source.fingerprint(Window.of_day(FIRST + timedelta(days=3))))
    hour_ms = _milliseconds(lambda: source.fingerprint(hour))
    count_ms = _milliseconds(lambda: source.count(whole))
    return (
        f"{rows:>10,} {seconds:>8.1f} {rows / seconds:>9,.0f} {peak:>9.0f} {before:>16.0f} "
        f"{day_ms:>7.1f} {hour_ms:>8.1f} {count_ms:>9.1f}"
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _milliseconds(call) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.monotonic()
        call()
        times.append(time.monotonic() - started)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
