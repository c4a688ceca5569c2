"""SQL that reads the rows of each layout of a split alike, with what is wrong with a row beside it."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from recsys_pipeline.adapters.sources.text_lists import list_elements
from recsys_pipeline.adapters.sources.text_tables import text_rows
from recsys_pipeline.adapters.sources.text_times import TimeText, tomorrow
from recsys_pipeline.adapters.splits.layouts import Layout

Connection = duckdb.DuckDBPyConnection


def rows_sql(connection: Connection, path: Path, layout: Layout) -> str:
    """`source_row, user_id, item_id, value, at_us, defect`; negatives of NCF also have `positive`."""
    return _without_empty_ids(_MAKERS[layout.format](connection, path, layout))


def _without_empty_ids(rows: str) -> str:
    defect = """case when defect is not null then defect when coalesce(user_id, '') = '' then 'the user is empty'
                when coalesce(item_id, '') = '' then 'the item is empty' end"""
    return f"select * replace ({defect} as defect) from ({rows})"


def _table_rows(connection: Connection, path: Path, layout: Layout) -> str:
    places = dict(layout.columns or {})
    value = "cast(1 as float)" if "value" not in places else "try_cast(value as float)"
    at = "cast(0 as bigint)" if "timestamp" not in places else "epoch_us(instant)"
    item = "item" if "item" in places else _elements(layout)
    times = TimeText(layout.time_unit, layout.time_format, layout.time_zone, last=tomorrow())
    rules = ["when defect is not null then defect"]
    if "value" in places:
        number = "coalesce(isfinite(try_cast(value as float)), false)"
        rules.append(f"when not {number} then 'the value ''' || coalesce(value, '') || ''' is no finite number'")
    if "timestamp" in places:
        rules.append("when coalesce(timestamp, '') = '' then 'the timestamp is empty'")
        rules.append(times.unreadable("timestamp", "instant", "timestamp"))
    parsed = f", {times.instant('timestamp')} as instant" if "timestamp" in places else ""
    return f"""
        select source_row, trim("user") as user_id, trim({item}) as item_id, {value} as value, {at} as at_us,
               case {" ".join(rules)} end as defect
        from (select *{parsed} from ({_lines(connection, path, layout, places)}))
    """


def _elements(layout: Layout) -> str:
    """An item of each list; a row that is bad or has no list stays, so that it is told, and `[]` is nothing."""
    found = f"list_filter({list_elements('items', layout.list_separator)}, lambda one: trim(one) <> '')"
    return f"unnest(case when defect is null and (len({found}) > 0 or trim(items) = '[]') then {found} else [''] end)"


def _lines(connection: Connection, path: Path, layout: Layout, places: Mapping[str, int | str]) -> str:
    columns = {f'"{role}"': place for role, place in places.items()}
    return text_rows(connection, path, layout.text_table(), columns, "--columns")


def _words(connection: Connection, path: Path, layout: Layout) -> str:
    """Each line as a list of its words, however many blanks stand between them; a line that is no text has none."""
    return f"""select source_row, list_filter(coalesce(fields, []), lambda word: trim(word) <> '') as words,
                      case when fields is null then defect end as defect
               from ({_lines(connection, path, layout, {})})"""


_PLAIN = "cast(1 as float) as value"
_NO_TIME = "cast(0 as bigint) as at_us"


def _unfolded(words: str) -> str:
    """A row for each word, and one for a line that is no text."""
    return f"trim(unnest(case when defect is null then {words} else [''] end))"


def _list_rows(connection: Connection, path: Path, layout: Layout) -> str:
    return f"""select source_row, words[1] as user_id, {_unfolded("words[2:]")} as item_id, {_PLAIN}, {_NO_TIME}, defect
               from ({_words(connection, path, layout)})"""


def _pair_rows(connection: Connection, path: Path, layout: Layout) -> str:
    """The line number stands for the time: it orders a user's rows, which is all that a sequence tells."""
    return f"""select source_row, words[1] as user_id, trim(words[2]) as item_id, {_PLAIN}, source_row as at_us,
                      case when defect is not null then defect
                           when len(words) <> 2 then 'expected user and item, found ' || len(words) || ' fields' end
                      as defect from ({_words(connection, path, layout)})"""


def _session_rows(connection: Connection, path: Path, layout: Layout) -> str:
    """A line is a user of its own, and the place in it the time."""
    return f"""select source_row, cast(source_row as varchar) as user_id, {_unfolded("words")} as item_id, {_PLAIN},
                      unnest(generate_series(1, greatest(len(words), 1))) as at_us, defect
               from ({_words(connection, path, layout)})"""


def _negative_rows(connection: Connection, path: Path, layout: Layout) -> str:
    """The pair in brackets stays beside each negative (`positive`), to be checked against the test file."""
    pattern = r"'^\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)$'"
    return f"""
        select source_row, regexp_extract(pair, {pattern}, 1) as user_id, {_unfolded("words[2:]")} as item_id, {_PLAIN},
               {_NO_TIME}, regexp_extract(pair, {pattern}, 2) as positive,
               case when defect is not null then defect
                    when not regexp_matches(pair, {pattern}) then 'expected (user,item), found ' || pair end as defect
        from (select *, trim(words[1]) as pair from ({_words(connection, path, layout)}))
    """


_MAKERS = {
    "table": _table_rows,
    "adjacency": _list_rows,
    "sequences": _pair_rows,
    "sessions": _session_rows,
    "negatives": _negative_rows,
}
