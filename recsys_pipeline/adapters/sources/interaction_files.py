"""SQL that turns the text rows of one interactions file into the contract's columns, with a defect where it cannot."""

from pathlib import Path

from recsys_pipeline.adapters.sources.files_config import InteractionFiles
from recsys_pipeline.adapters.sources.text_tables import (
    instant,
    quoted,
    text_rows,
    unit_name,
    unreadable,
    whole_number,
)

OPTIONAL = ("event", "value", "request_id", "position", "propensity")


def interaction_rows(path: Path, name: str, config: InteractionFiles) -> str:
    """SQL for one file, known as `name` in traces: the contract's columns, `source_file`, `source_row`, `defect`.

    Raises `SourceError` where the file lacks a column.
    """
    columns = {column: place for column, place in config.columns.model_dump().items() if place is not None}
    texts = ", ".join(column if column in columns else f"cast(null as varchar) as {column}" for column in OPTIONAL)
    rows = f"""
        select source_row, defect as split_defect, user_id, item_id, timestamp as time_text, {texts},
               {instant("timestamp", config.time_unit)} as timestamp
        from ({text_rows(path, config, columns, "interactions.columns")})
    """
    event = "event" if config.event is None else quoted(config.event)
    typed = f"""
        select source_row, split_defect, {_user_id(config)} as user_id, item_id, {event} as event, value as value_text,
               {_value(config, event)} as value, time_text, timestamp, request_id, position as position_text,
               {whole_number("position")} as position, propensity as propensity_text,
               try_cast(propensity as float) as propensity
        from ({rows})
    """
    return f"""
        select user_id, item_id, event, value, timestamp, request_id, position, propensity,
               {quoted(name)} as source_file, source_row, {_defect(config)} as defect
        from ({typed})
    """


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
        return "try_cast(value as float)"
    known = " ".join(f"when {quoted(name)} then {value!r}" for name, value in sorted(config.values.items()))
    return f"cast(case {event} {known} end as float)"


def _defect(config: InteractionFiles) -> str:
    rules = [
        "when split_defect is not null then split_defect",
        "when coalesce(time_text, '') = '' then 'timestamp is empty'",
        unreadable("timestamp", "timestamp", "time_text", unit_name(config.time_unit)),
        unreadable("value", "value", "value_text", "a number"),
        unreadable("position", "position", "position_text", "a whole number"),
        unreadable("propensity", "propensity", "propensity_text", "a number"),
    ]
    if config.columns.value is None:
        unknown = "'event ''' || event || ''' has no value: add it to interactions.values'"
        rules.append(f"when value is null and coalesce(event, '') <> '' then {unknown}")
    return f"case {' '.join(rules)} end"
