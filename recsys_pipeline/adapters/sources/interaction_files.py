"""SQL that turns the text rows of one interactions file into the contract's columns, with a defect where it cannot."""

from pathlib import Path

import duckdb

from recsys_pipeline.adapters.sources.files_config import InteractionFiles
from recsys_pipeline.adapters.sources.identifiers import identifier_sql
from recsys_pipeline.adapters.sources.text_lists import list_elements
from recsys_pipeline.adapters.sources.text_tables import plain_number, text_rows, unreadable, whole_number
from recsys_pipeline.core.dataset.schema import quoted

LINES_IN_AN_INSTANT = 1_000
"""As many rows of a user and instant can be told apart without reaching the next millisecond."""
OPTIONAL = ("event", "value", "request_id", "position", "propensity")


def interaction_rows(con: duckdb.DuckDBPyConnection, root: Path, path: Path, config: InteractionFiles) -> str:
    """SQL for one file below `root`, to be run by `con`: the contract's columns, `source_file`, `source_row`, `defect`.

    Raises `SourceError` where the file lacks a column.
    """
    columns = {column: place for column, place in config.columns.model_dump().items() if place is not None}
    texts = ", ".join(column if column in columns else f"cast(null as varchar) as {column}" for column in OPTIONAL)
    found = text_rows(con, path, config, columns, "interactions.columns", root)
    rows = f"""
        select source_row, defect as split_defect, user_id, {_items(config)} as item_id, {texts},
               timestamp as time_text, {config.time_text().instant("timestamp")} as timestamp
        from ({found})
    """
    event = "event" if config.event is None else quoted(config.event)
    typed = f"""
        select source_row, split_defect, {identifier_sql(_user_id(config))} as user_id,
               {identifier_sql("item_id")} as item_id, {event} as event, value as value_text,
               {_value(config, event)} as value, time_text, timestamp, request_id, position as position_text,
               {whole_number(plain_number("position", config))} as position, propensity as propensity_text,
               try_cast({plain_number("propensity", config)} as float) as propensity
        from ({rows})
    """
    if config.tie_order == "lines":
        typed = _in_order_of_lines(typed)
    # `offset 0` keeps conditions on these columns from being moved into the text, where each would be read again and
    # again: 1.0 s instead of 6.5 s for a million rows.
    return f"""
        select user_id, item_id, event, value, timestamp, request_id, position, propensity,
               {quoted(path.relative_to(root).as_posix())} as source_file, source_row, {_defect(config)} as defect
        from ({typed})
        offset 0
    """


def _in_order_of_lines(rows: str) -> str:
    """One user's rows of one instant get a microsecond more from line to line; repeats of an event stay repeats."""
    return f"""
        select * replace (timestamp + to_microseconds(least(line_order - 1, {LINES_IN_AN_INSTANT - 1})) as timestamp)
        from (select *, dense_rank() over (partition by user_id, timestamp order by first_line) as line_order
              from (select *, min(source_row) over (partition by user_id, timestamp, item_id, event) as first_line
                    from ({rows})))
    """


def _items(config: InteractionFiles) -> str:
    """One item id, or one of each element of a list; a list without elements is no event."""
    if config.item_separator is None:
        return "item_id"
    elements = list_elements("item_id", config.item_separator)
    return f"unnest(case when coalesce(item_id, '') = '' then [item_id] else {elements} end)"


def _user_id(config: InteractionFiles) -> str:
    if config.user_identity == "column":
        return "user_id"
    # The earliest event of a user is the same in every release, whatever number the release gives to the user. Measured
    # over the 14 MovieTweetings releases: it changed for 2 of 21,081 users, and 15 pairs of users share theirs; each
    # such pair becomes one user, whose doubled rating is a repeat (15 of 141,603 rows).
    first = "min(case when timestamp is not null then (timestamp, item_id) end) over (partition by user_id)"
    return f"coalesce(epoch_us({first}[1]) // 1000000 || '-' || {first}[2], user_id)"


def _value(config: InteractionFiles, event: str) -> str:
    if config.columns.value is not None:
        return f"try_cast({plain_number('value', config)} as float)"
    known = " ".join(f"when {quoted(name)} then {value!r}" for name, value in sorted(config.values.items()))
    return f"cast(case {event} {known} end as float)"


def _defect(config: InteractionFiles) -> str:
    rules = [
        "when split_defect is not null then split_defect",
        "when coalesce(time_text, '') = '' then 'timestamp is empty'",
        config.time_text().unreadable("timestamp", "timestamp", "time_text"),
        unreadable("value", "value", "value_text", "a number"),
        unreadable("position", "position", "position_text", "a whole number"),
        unreadable("propensity", "propensity", "propensity_text", "a number"),
    ]
    if config.columns.value is None:
        unknown = "'event ''' || event || ''' has no value: add it to interactions.values'"
        rules.append(f"when value is null and coalesce(event, '') <> '' then {unknown}")
    return f"case {' '.join(rules)} end"
