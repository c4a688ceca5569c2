"""Reads somebody's own split (train, test, maybe negatives), or one file of interactions, into one id space.

DuckDB reads whole lines and splits them (`sources/text_tables.py`), so every layout keeps its line numbers and a bad
line is named. One bad line refuses the file: figures are compared with others' figures, and must be of the same rows.

Users and items are numbered by what their rows say (`core/dataset/numbering.py`) and rows come in the order of those
numbers and of time, so that no figure depends on what anything is called or in which order the lines stand. The
catalogue is every item of train and test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from recsys_pipeline.adapters.sources.text_tables import failures_named
from recsys_pipeline.adapters.splits.checks import first_rows, signs, strangers
from recsys_pipeline.adapters.splits.layouts import Layout, find_layout
from recsys_pipeline.adapters.splits.reading import PLAINLY, Reading
from recsys_pipeline.adapters.splits.rows import rows_sql
from recsys_pipeline.adapters.splits.samples import as_options
from recsys_pipeline.adapters.store.manifest import file_digest
from recsys_pipeline.core.dataset.numbering import renumbered
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.errors import DataError, SettingError, SourceError
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class ReadFile:
    """What was read: which file, its SHA-256, how its layout was understood, and how many pairs it holds."""

    path: Path
    digest: str
    layout: Layout
    n_rows: int
    first_rows: tuple[dict[str, str], ...] = ()
    """By role, as they were understood."""
    signs: tuple[str, ...] = ()
    """What speaks against how it was read."""


@dataclass(frozen=True)
class SplitFiles:
    """Train and test ratings in one id space, and the given negatives where there are any."""

    train: Ratings
    test: Ratings
    negatives: Ratings | None
    files: Mapping[str, ReadFile]


@dataclass(frozen=True)
class OneFile:
    """The interactions of one file, the latest row of each pair of user and item."""

    ratings: Ratings
    file: ReadFile
    n_repeated: int
    """Rows left out, because a later row has the same user and item."""


def read_split(
    train: Sequence[Path],
    test: Path,
    negatives: Path | None = None,
    reading: Reading = PLAINLY,
) -> SplitFiles:
    """Read the files of a split; `reading` is for train and test, negatives tell theirs themselves.

    Several files of train add up, in the order given: what LightGCN calls train and validation, or a file per month.
    Two million rows took 6 s of processor time and 0.6 GB.

    Raises:
        SourceError: a file is missing, empty, or has a line that cannot be read.
        DataError: two files hold the same bytes; files of train do not go together; a negative
            is of an unknown user, an unknown item, or (NCF) stands
            beside a pair that is not tested.
    """
    trains = _train_parts(train)
    paths = {**trains, "test": test}
    layouts = {part: find_layout(path, reading) for part, path in paths.items()}
    if negatives is not None:
        layouts["negatives"], paths["negatives"] = find_layout(negatives), negatives
    digests = {part: file_digest(path) for part, path in paths.items()}
    _check_different(paths, digests)
    with open_duckdb() as connection:
        for part, path in paths.items():
            _read(connection, part, path, layouts[part])
        if len(trains) > 1:
            _add_up(connection, {part: layouts[part] for part in trains}, trains)
        _number(connection, ["train", "test"])
        if negatives is not None:
            _check_negatives(connection, negatives, test, layouts["negatives"])
        found = {part: _ratings(connection, part) for part in ("train", *paths.keys() - trains.keys())}
        files = {part: _read_file(connection, part, path, digests[part], layouts[part]) for part, path in paths.items()}
    ratings = renumbered(found, ["train", "test"])
    return SplitFiles(ratings["train"], ratings["test"], ratings.get("negatives"), files)


def _train_parts(paths: Sequence[Path]) -> dict[str, Path]:
    return {"train": paths[0]} if len(paths) == 1 else {f"train_{at}": path for at, path in enumerate(paths, 1)}


def _check_different(paths: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """What is learned from twice counts twice, and what is tested must not be learned from."""
    first: dict[str, str] = {}
    for part, path in paths.items():
        other = first.setdefault(digests[part], part)
        if other != part and part == "test":
            raise DataError(
                f"{path} holds the same bytes as {paths[other]}: a model is not tested on what it learned from"
            )
        if other != part and part.startswith("train"):
            raise DataError(f"{path} holds the same bytes as {paths[other]}: say each --train once")


def _add_up(connection: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout], paths: Mapping[str, Path]) -> None:
    """Make the table `train` of its parts; lines in order of time go on where the part before ended."""
    first = next(iter(layouts))
    for part, layout in layouts.items():
        if layout.format == "sessions":
            raise DataError(f"{paths[part]} holds sessions, which have no user: give all of them as one --train")
        if layout.has_times != layouts[first].has_times:
            which = ("has times", "has none")
            told = [which[not one.has_times] for one in (layouts[first], layout)]
            raise DataError(f"{paths[first]} {told[0]}, and {paths[part]} {told[1]}: --train files must agree in that")
    rows, before = [], "0"
    for part, layout in layouts.items():
        rows.append(f"select source_row, user_id, item_id, value, at_us + {before} as at_us from {part}")
        if not layout.has_times and layout.knows_order:
            before += f" + (select max(at_us) + 1 from {part})"
    connection.execute(f"create temp table train as {' union all '.join(rows)}")


def read_interactions(path: Path, reading: Reading = PLAINLY, lines_are_in_order: bool = False) -> OneFile:
    """Read one file that is not split yet; of repeated pairs the latest row stays.

    Of two rows of one instant that is the one with the larger value; where no times are known, the last line. With
    `lines_are_in_order` rows of one user and instant came as their lines stand: each gets a microsecond more than the
    one before it.

    Raises:
        SourceError: the file is missing, empty, or has a line that cannot be read.
    """
    layout = find_layout(path, reading)
    with open_duckdb() as connection:
        _read(connection, "data", path, layout)
        file = _read_file(connection, "data", path, file_digest(path), layout)
        if lines_are_in_order:
            _order_by_lines(connection, path, layout)
        later = ", value desc" if layout.has_times else ", source_row desc"
        connection.execute(f"""
            create temp table latest as select * from data
            qualify row_number() over (partition by user_id, item_id order by at_us desc{later}) = 1
        """)
        _number(connection, ["latest"])
        found = _ratings(connection, "latest")
    ratings = renumbered({"latest": found}, ["latest"])["latest"]
    return OneFile(ratings, file, file.n_rows - len(ratings))


def _read_file(connection: duckdb.DuckDBPyConnection, part: str, path: Path, digest: str, layout: Layout) -> ReadFile:
    found = signs(connection, part, path, layout, is_test=part in ("test", "negatives"))
    if part == "test":
        found += strangers(connection, part, "train")
    return ReadFile(path, digest, layout, _count(connection, part), first_rows(connection, part, layout), tuple(found))


def _read(connection: duckdb.DuckDBPyConnection, part: str, path: Path, layout: Layout) -> None:
    """Make the table `part` (source_row, user_id, item_id, value, at_us), or say which line is wrong."""
    rows = rows_sql(connection, path, layout)
    with failures_named(path):
        connection.execute(f"create temp table {part} as {rows}")
    found = connection.execute(
        f"select source_row, defect, count(*) over () from {part} where defect is not null order by source_row limit 1"
    ).fetchall()
    if found:
        line, defect, n_bad = found[0]
        more = f" ({n_bad:,} lines are bad)" if n_bad > 1 else ""
        raise SourceError(
            f"{path}, line {line}: {as_options(defect)}{more}. It was read as {layout.describe()}: mend the line, or "
            "say another layout with --format or --columns"
        )
    if not _count(connection, part):
        raise SourceError(f"{path} holds no pair of user and item (read as {layout.describe()})")


def _order_by_lines(connection: duckdb.DuckDBPyConnection, path: Path, layout: Layout) -> None:
    """Tell rows of one user and instant apart by microseconds, where there is room before the user's next instant."""
    if not layout.has_times:
        raise SettingError(f"{path} has no times, so that none of them tie: leave out --tie-order lines")
    crowded = connection.execute("""
        select min(first_row) from (
            select min(source_row) as first_row, at_us + count(*) as until, at_us,
                   lead(at_us) over (partition by user_id order by at_us) as next_us
            from data group by user_id, at_us) where until > next_us
    """).fetchone()
    if crowded is not None and crowded[0] is not None:
        raise DataError(
            f"{path}, line {crowded[0]}: more rows of one user and instant than there are microseconds before the "
            "next one: --tie-order lines needs coarser times"
        )
    connection.execute("""
        create or replace temp table data as
        select * replace (at_us + row_number() over (partition by user_id, at_us order by source_row) - 1 as at_us)
        from data
    """)


def _number(connection: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> None:
    """Tables `users` and `items`: each id of these parts and its provisional number, by the text of the id."""
    for table, column in (("users", "user_id"), ("items", "item_id")):
        ids = " union ".join(f"select distinct {column} from {part}" for part in parts)
        connection.execute(f"""
            create temp table {table} as
            select {column}, cast(row_number() over (order by {column}) - 1 as integer) as number from ({ids})
        """)


def _ratings(connection: duckdb.DuckDBPyConnection, part: str) -> Ratings:
    columns = connection.execute(f"""
        select users.number as user, items.number as item, value, at_us as timestamp_us
        from {part} join users using (user_id) join items using (item_id)
    """).fetchnumpy()
    plain = {name: np.ascontiguousarray(np.ma.getdata(column)) for name, column in columns.items()}
    return Ratings(**plain, n_users=_count(connection, "users"), n_items=_count(connection, "items"))


def _check_negatives(connection: duckdb.DuckDBPyConnection, path: Path, test: Path, layout: Layout) -> None:
    """Refuse negatives that could not have been meant: they would be left out in silence, and ease the task."""
    wrong = {
        f"user {{0}} of the negatives is not in {test}": "user_id not in (select user_id from test)",
        "item {1} is neither in train nor in test": "item_id not in (select item_id from items)",
    }
    if layout.format == "negatives":
        tested = "(user_id, positive) not in (select (user_id, item_id) from test)"
        wrong[f"the pair ({{0}},{{2}}) is not in {test}"] = tested
    positive = "positive" if layout.format == "negatives" else "null"
    for message, condition in wrong.items():
        found = connection.execute(
            f"select source_row, user_id, item_id, {positive} from negatives where {condition} "
            "order by source_row limit 1"
        ).fetchone()
        if found is not None:
            raise DataError(
                f"{path}, line {found[0]}: {message.format(*found[1:])}: negatives must belong to the split"
            )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = connection.execute(f"select count(*) from {table}").fetchall()
    return int(count)
