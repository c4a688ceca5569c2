"""SQL that reads JSON lines as text columns: keys, paths such as `details.price`, and lists of events in a line.

`events[].item` makes a row of each element of the list `events`; columns without `[]` repeat in all of them. A line
that is no JSON object is one bad row.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.sources.records import RecordFile
from recsys_pipeline.core.dataset.schema import INTERACTIONS, ITEMS
from recsys_pipeline.core.errors import SourceError

SAMPLE_LINES = 10_000
"""A key that none of so many lines has is a mistake in the settings; one that comes later is not looked for."""
MAY_BE_ABSENT = {field.name for table in (INTERACTIONS, ITEMS) for field in table if field.nullable} | {
    "title",
    "categories",
}
"""Columns that a day may lack: what writes JSON leaves out what is null."""
logger = logging.getLogger(__name__)


def json_rows(path: Path, records: str, file: RecordFile, columns: Mapping[str, int | str], setting: str) -> str:
    """SQL for one file whose records DuckDB knows as `records`; see `text_tables.text_rows`."""
    _check_keys(path, file, columns, setting)
    listed = {column.partition("[]")[0] for column in columns.values() if "[]" in str(column)}  # type: ignore[union-attr]
    if len(listed) > 1:
        raise SourceError(f"{setting} names elements of two lists, {' and '.join(sorted(listed))}: one can be unfolded")
    defect = """case when defect is not null then defect when document is null then 'the line is no JSON'
                     when json_type(document) <> 'OBJECT' then 'the line is no JSON object' end"""
    rows = f"""select source_row, document, {defect} as defect
               from (select source_row, defect, try_cast(line as json) as document from {records})"""
    for place in listed:
        found = f"json_extract(document, {_path(place)})"
        wrong = f"case when defect is null and json_type({found}) is distinct from 'ARRAY' then true else false end"
        elements = f"json_extract(document, {_path(place)[:-1]}[*]')"
        rows = f"""select source_row, document, case when {wrong} then '{place} is no list' else defect end as defect,
                          unnest(case when defect is null and not {wrong} then {elements} else [null] end) as element
                   from ({rows})"""
    texts = "".join(f", {_text(str(column))} as {name}" for name, column in columns.items())
    return f"select source_row{texts}, defect from ({rows})"


def _text(column: str) -> str:
    prefix, listed, rest = column.partition("[]")
    found = f"json_extract_string({'element' if listed else 'document'}, {_path(rest if listed else prefix)})"
    if not listed and "." in column:
        found = f"coalesce(json_extract_string(document, {_path(column, whole=True)}), {found})"
    return f"nullif({found}, 'NaN')"


def _path(place: str, whole: bool = False) -> str:
    parts = [place] if whole else [part for part in place.split(".") if part]
    path = "$" + "".join('."' + part.replace('"', '\\"') + '"' for part in parts)
    return "'" + path.replace("'", "''") + "'"


def _check_keys(path: Path, file: RecordFile, columns: Mapping[str, int | str], setting: str) -> None:
    wanted = {f"{setting}.{name}": column for name, column in columns.items()}
    for key, column in wanted.items():
        if isinstance(column, int):
            raise SourceError(f"{path} holds JSON lines, and {key} is the position {column}: give a key")
    known: dict[str, None] = {}
    for document in _documents(path, file):
        known |= dict.fromkeys(_places(document))
        if known.keys() >= set(wanted.values()):
            return
    absent = {key: column for key, column in wanted.items() if column not in known}
    needed = {key: column for key, column in absent.items() if key.rpartition(".")[2] not in MAY_BE_ABSENT}
    if known and not needed:
        logger.warning(
            "%s: none of its first lines has %s, which is left empty", path, ", ".join(map(str, absent.values()))
        )
    elif known:
        key, column = next(iter(needed.items()))
        raise SourceError(f"{path} has no key {column!r} ({key}); its first lines have {list(known)[:60]}")


def _documents(path: Path, file: RecordFile) -> Iterator[dict[str, Any]]:
    """The objects in the first lines; raises `SourceError` where there is none among them."""
    first_wrong: tuple[int, str] | None = None
    n_objects = 0
    for row, line, _ in islice(file.rows(), SAMPLE_LINES):
        try:
            document = json.loads(line or "")
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            n_objects += 1
            yield document
        elif first_wrong is None:
            first_wrong = (row, line or "")
    if not n_objects and first_wrong is not None:
        is_one = first_wrong[1].lstrip()[:1] in ("[", "{")
        hint = "; a JSON file of many lines becomes JSON lines with: jq -c '.[]'" if is_one else ""
        raise SourceError(f"{path} holds no JSON lines: line {first_wrong[0]} is no JSON object{hint}")


def _places(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """All keys of a document as columns name them."""
    for key, value in document.items():
        place = f"{prefix}{key}"
        yield place
        if isinstance(value, dict):
            yield from _places(value, f"{place}.")
        if isinstance(value, list) and "[]" not in prefix:
            yield f"{place}[]"
            for element in value:
                if isinstance(element, dict):
                    yield from _places(element, f"{place}[].")
