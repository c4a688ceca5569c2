"""SQL that reads the rows of each layout of a split alike, with what is wrong with a row beside it."""

from collections.abc import Mapping
from pathlib import Path

from recsys_pipeline.adapters.sources.text_tables import instant, text_rows, unit_name, unreadable
from recsys_pipeline.adapters.split_layouts import Layout


def rows_sql(path: Path, layout: Layout) -> str:
    """`source_row, user_id, item_id, value, at_us, defect`; negatives of NCF also have `positive`."""
    return _without_empty_ids(_MAKERS[layout.format](path, layout))


def _without_empty_ids(rows: str) -> str:
    defect = """case when defect is not null then defect when coalesce(user_id, '') = '' then 'the user is empty'
                when coalesce(item_id, '') = '' then 'the item is empty' end"""
    return f"select * replace ({defect} as defect) from ({rows})"


def _table_rows(path: Path, layout: Layout) -> str:
    places = dict(layout.columns or {})
    value = "cast(1 as float)" if "value" not in places else "try_cast(value as float)"
    at = "cast(0 as bigint)" if "timestamp" not in places else "epoch_us(instant)"
    rules = ["when defect is not null then defect"]
    if "value" in places:
        number = "coalesce(isfinite(try_cast(value as float)), false)"
        rules.append(f"when not {number} then 'the value ''' || coalesce(value, '') || ''' is no finite number'")
    if "timestamp" in places:
        rules.append("when coalesce(timestamp, '') = '' then 'the timestamp is empty'")
        rules.append(unreadable("timestamp", "instant", "timestamp", unit_name(layout.time_unit)))
    parsed = f", {instant('timestamp', layout.time_unit)} as instant" if "timestamp" in places else ""
    return f"""
        select source_row, trim("user") as user_id, trim(item) as item_id, {value} as value, {at} as at_us,
               case {" ".join(rules)} end as defect
        from (select *{parsed} from ({_lines(path, layout, places)}))
    """


def _lines(path: Path, layout: Layout, places: Mapping[str, int | str]) -> str:
    return text_rows(path, layout.text_table(), {f'"{role}"': place for role, place in places.items()}, "--columns")


def _words(path: Path, layout: Layout) -> str:
    """Each line as a list of its words, however many blanks stand between them."""
    return f"""select source_row, list_filter(fields, lambda word: trim(word) <> '') as words
               from ({_lines(path, layout, {})})"""


_PLAIN = "cast(1 as float) as value"


def _list_rows(path: Path, layout: Layout) -> str:
    return f"""select source_row, words[1] as user_id, trim(unnest(words[2:])) as item_id, {_PLAIN},
                      cast(0 as bigint) as at_us, cast(null as varchar) as defect from ({_words(path, layout)})"""


def _pair_rows(path: Path, layout: Layout) -> str:
    """The line number stands for the time: it orders a user's rows, which is all that a sequence tells."""
    return f"""select source_row, words[1] as user_id, trim(words[2]) as item_id, {_PLAIN}, source_row as at_us,
                      case when len(words) <> 2 then 'expected user and item, found ' || len(words) || ' fields' end
                      as defect from ({_words(path, layout)})"""


def _session_rows(path: Path, layout: Layout) -> str:
    """A line is a user of its own, and the place in it the time."""
    return f"""select source_row, cast(source_row as varchar) as user_id, trim(unnest(words)) as item_id, {_PLAIN},
                      unnest(generate_series(1, len(words))) as at_us, cast(null as varchar) as defect
               from ({_words(path, layout)})"""


def _negative_rows(path: Path, layout: Layout) -> str:
    """The pair in brackets stays beside each negative (`positive`), to be checked against the test file."""
    pattern = r"'^\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)$'"
    return f"""
        select source_row, regexp_extract(pair, {pattern}, 1) as user_id, trim(unnest(words[2:])) as item_id, {_PLAIN},
               cast(0 as bigint) as at_us, regexp_extract(pair, {pattern}, 2) as positive,
               case when not regexp_matches(pair, {pattern}) then 'expected (user,item), found ' || pair end as defect
        from (select *, trim(words[1]) as pair from ({_words(path, layout)}))
    """


_MAKERS = {
    "table": _table_rows,
    "adjacency": _list_rows,
    "sequences": _pair_rows,
    "sessions": _session_rows,
    "negatives": _negative_rows,
}
