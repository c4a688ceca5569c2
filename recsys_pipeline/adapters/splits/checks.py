"""Signs that a file was read as something else than it is: a time taken for an item, an order for a time.

Where only the content said which column is which, a sign refuses the file; where names or people said it, it is a note.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from recsys_pipeline.adapters.sources.drafts.column_roles import ENOUGH_ROWS
from recsys_pipeline.adapters.splits.layouts import Layout
from recsys_pipeline.core.errors import SourceError

DAY_US = 86_400_000_000
YEAR_1980_US, YEAR_1990_US = 315_532_800_000_000, 631_152_000_000_000
LARGEST_VALUE = 1e8
"""Ratings, counts and hours are below it, times in seconds since 1973 above."""
NO_IDS = ("nan", "none", "null", "na", "n/a", "<na>", "\\n", "undefined")
"""What programs write for an id that is missing."""
FIRST_ROWS = 3


def signs(connection: duckdb.DuckDBPyConnection, part: str, path: Path, layout: Layout, is_test: bool) -> list[str]:
    """What speaks against how `part` was read, in words; `SourceError` where that was a guess.

    A test file may hold each item once, and is not asked for repeated items.
    """
    found = [*([] if is_test else _too_many_items(connection, part)), *_times(connection, part, layout)]
    found += [*_large_values(connection, part, layout), *_missing_ids(connection, part)]
    if found and layout.is_guessed:
        rows = shown_rows(first_rows(connection, part, layout))
        raise SourceError(
            f"{path}: {'; '.join(found)}. It was read as {layout.describe()}, told from its content alone: say which "
            f"column is which with --columns. Its first rows as read: {rows}"
        )
    return found


def _too_many_items(connection: duckdb.DuckDBPyConnection, part: str) -> list[str]:
    n_rows, n_items = _row(connection, f"select count(*), count(distinct item_id) from {part}")
    if n_rows < ENOUGH_ROWS or n_items <= n_rows / 2:
        return []
    return [f"{n_items:,} different items in {n_rows:,} rows: most items stand there once, as times and row numbers do"]


def _times(connection: duckdb.DuckDBPyConnection, part: str, layout: Layout) -> list[str]:
    if not layout.has_times:
        return []
    n_rows, first, last = _row(connection, f"select count(*), min(at_us), max(at_us) from {part}")
    if n_rows >= ENOUGH_ROWS and first == last:
        return [f"all {n_rows:,} rows have the time {_moment(first)}"]
    if first >= 0 and last < DAY_US:
        return ["all times lie on 1970-01-01: they are small numbers, as an order or a category has"]
    (n_early,) = _row(connection, f"select count(*) from {part} where at_us < {YEAR_1980_US}")
    if n_early and last >= YEAR_1990_US:
        return [f"{n_early:,} rows lie before 1980, the last in {_moment(last)[:4]}: are two units of time mixed?"]
    return []


def _large_values(connection: duckdb.DuckDBPyConnection, part: str, layout: Layout) -> list[str]:
    if "value" not in (layout.columns or {}):
        return []
    (largest,) = _row(connection, f"select max(abs(value)) from {part}")
    return [f"values up to {largest:.0f}, as times and ids are"] if largest > LARGEST_VALUE else []


def _missing_ids(connection: duckdb.DuckDBPyConnection, part: str) -> list[str]:
    said = []
    for role in ("user", "item"):
        condition = f"lower({role}_id) in ({', '.join(repr(text) for text in NO_IDS)})"
        count, example = _row(connection, f"select count(*), min({role}_id) from {part} where {condition}")
        if count > 1:
            said.append(f"{count:,} rows have the {role} {example!r}, which may mean that it is missing")
    return said


def strangers(connection: duckdb.DuckDBPyConnection, test: str, train: str) -> list[str]:
    """Users and items of `test` that `train` hardly knows, as where one file writes `102` and the other `102.0`."""
    said = []
    for role in ("user", "item"):
        count, unknown, example = _row(
            connection,
            f"""select count(*), count(*) filter (train.id is null), min(test.id) filter (train.id is null)
                from (select distinct {role}_id as id from {test}) as test
                left join (select distinct {role}_id as id from {train}) as train using (id)""",
        )
        if unknown > count / 2:
            (known,) = _row(connection, f"select min({role}_id) from {train}")
            said.append(
                f"{unknown:,} of {count:,} {role}s of the test file are not in train (such as {example!r}; train has "
                f"{known!r})"
            )
    return said


def first_rows(connection: duckdb.DuckDBPyConnection, part: str, layout: Layout) -> tuple[dict[str, str], ...]:
    """The first rows, by role, as they were understood."""
    columns = layout.columns or {}
    rows = connection.execute(
        f"select user_id, item_id, value, at_us from {part} order by source_row limit {FIRST_ROWS}"
    ).fetchall()
    return tuple(
        {
            "user": user,
            "item": item,
            **({"value": f"{value:g}"} if "value" in columns else {}),
            **({"timestamp": _moment(at_us)} if layout.has_times else {}),
        }
        for user, item, value, at_us in rows
    )


def shown_rows(rows: tuple[dict[str, str], ...]) -> str:
    """The rows in one line."""
    return "; ".join(", ".join(f"{role} {text}" for role, text in row.items()) for row in rows)


def _moment(at_us: int) -> str:
    moment = datetime.fromtimestamp(at_us / 1e6, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(' ', 'milliseconds' if at_us % 1_000_000 else 'seconds')} UTC"


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple:
    """The one row of an aggregate; all of it is fetched, as DuckDB lets a connection do nothing else before."""
    return connection.execute(query).fetchall()[0]
