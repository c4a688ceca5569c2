"""A first TOML for files that somebody has: what can be told from them, with what was seen as comments.

Columns are told as `recsys evaluate` tells them. What cannot be told is left open beside its choices, and loading the
TOML says so: nothing that would be read wrongly passes in silence.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recsys_pipeline.adapters.sources.drafts.column_content import content, epoch_unit, times_like
from recsys_pipeline.adapters.sources.drafts.column_names import EVENT_NAMES, plain
from recsys_pipeline.adapters.sources.drafts.item_draft import ItemDraft, item_draft
from recsys_pipeline.adapters.sources.files_config import JSON_LINES, SEPARATORS, TextTable
from recsys_pipeline.adapters.sources.table_sample import TableSample, sampled
from recsys_pipeline.adapters.sources.text_tables import text_rows
from recsys_pipeline.adapters.splits.layouts import Layout, find_layout
from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.printable import printable

ANY_TIMES = Reading(time_format="%Y")
"""Columns are looked for first; how the times are written is told here, and may stay open."""
MAX_EVENTS = 50
WORTHS = {
    5.0: "purchase buy order transaction paid checkout purchased",
    3.0: "addtocart cart basket fav favorite favourite like wishlist save",
    0.0: "impression shown exposure",
    -1.0: "dislike hide notinterested report",
}
"""What a click is worth, 1, against what names of events usually mean: a start, to be judged by people."""


@dataclass(frozen=True)
class Draft:
    """A TOML and what is to be looked at in it."""

    text: str
    open_questions: tuple[str, ...]


def draft_source(paths: Sequence[Path], name: str | None = None, place: Path | None = None) -> Draft:
    """The TOML for these files, which lie below one folder; `place` is where it will stand.

    Raises:
        SourceError: a file cannot be read, its columns cannot be told, or its events have no times.
        SettingError: no file holds interactions, or two hold items.
    """
    samples = [sampled(path) for path in paths]
    items = [draft for sample in samples if (draft := item_draft(sample))]
    events = [sample for sample in samples if sample.path not in {draft.sample.path for draft in items}]
    if len(items) > 1:
        both = " and ".join(str(draft.sample.path) for draft in items)
        raise SettingError(f"{both} look like items, and a source has one table of them: name one of the two")
    if not events:
        raise SettingError(f"{paths[0]} looks like items: name a file of interactions (user, item, time) too")
    root = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    drafts = [_interactions(sample, root, len(events) > 1) for sample in events]
    head = _head(name or _slug(place.stem if place else root.name), root, place)
    parts = [head, *(part for part, _ in drafts), *(_items(draft, root) for draft in items)]
    return Draft("\n".join(parts), tuple(question for _, asked in drafts for question in asked))


def _head(name: str, root: Path, place: Path | None) -> str:
    shown = str(root) if place is None else os.path.relpath(root, place.absolute().parent)
    return (
        "# Written by `recsys init-source` from the files themselves: check it, then name it in .env\n"
        "# (RECSYS_SOURCE=files, RECSYS_SOURCE_CONFIG=this file) and run `recsys doctor`. All keys: docs/data.md.\n\n"
        f"name = {_text(name)}  # names the folder in the store\n"
        f"root = {_text(shown)}  # {'absolute' if place is None else 'relative to this file'}\n"
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "my-shop"


def _interactions(sample: TableSample, root: Path, is_one_of_several: bool) -> tuple[str, list[str]]:
    layout = find_layout(sample.path, replace(ANY_TIMES, encoding=sample.encoding))
    columns = layout.columns or {}
    if layout.format != "table" or "timestamp" not in columns:
        raise SourceError(
            f"{sample.path} ({layout.describe()}) tells no times, and a source's days are told by times: judge it with "
            f"`recsys evaluate --data {sample.path} --protocol strong_generalisation --models popularity,als`"
        )
    times, question = _times(sample.cells(columns["timestamp"]))
    event, rest = _events(sample, layout)
    roles = {"user": "user_id", "item": "item_id", "items": "item_id", "value": "value", "timestamp": "timestamp"}
    mapped = {roles[role]: place for role, place in columns.items()}
    lists = layout.list_separator
    lines = [
        f"# {printable(replace(layout, time_unit='', time_format='').describe())}",
        *(f"# {printable(reason)}" for reason in layout.reasons),
        *(f"#   {line}" for line in sample.first_rows()),
        "[[interactions]]" if is_one_of_several else "[interactions]",
        *table_lines(sample, root),
        *times,
        *([f"item_separator = {_text(',' if lists == '[' else lists)}"] if "items" in columns else []),
        *([f"event = {_text(event)}"] if event else []),
        f"columns = {_inline({**mapped, **rest.columns})}",
        *rest.lines,
    ]
    return "\n".join(lines) + "\n", [f"{sample.path.name}: {question}"] if question else []


def table_lines(sample: TableSample, root: Path) -> list[str]:
    """`path` and how its lines are read, as far as the name does not say it."""
    name, lines = sample.path.name.removesuffix(".gz"), []
    if sample.kind == "text" and SEPARATORS.get(Path(name).suffix) != sample.separator:
        lines.append(f"separator = {_text(sample.separator)}")
    if sample.kind != "text" and not name.endswith((".parquet",) if sample.kind == "parquet" else JSON_LINES):
        raise SourceError(f"{sample.path} holds {sample.kind}: let its name end in .parquet, or .jsonl for JSON lines")
    if sample.kind == "text" and sample.header:
        lines.append("header = true")
    if sample.encoding != "utf-8":
        lines.append(f'encoding = "{sample.encoding}"  # it is no UTF-8; cp1252 is alike')
    return [f"path = {_text(sample.path.absolute().relative_to(root).as_posix())}", *lines]


def _times(cells: Sequence[str]) -> tuple[list[str], str]:
    """`time_unit` or `time_format`; where the day may be either of two numbers, left open with a question."""
    found = content(cells)
    if found.time_kind == "iso":
        return [f'time_unit = "iso"  # such as {printable(found.example)}'], ""
    if found.is_numeric and (unit := epoch_unit(max(abs(found.smallest), abs(found.largest)))):
        return [f'time_unit = "{unit}"  # {found.smallest:.0f} to {found.largest:.0f}'], ""
    formats = times_like(cells)
    if len(formats) == 1:
        return [f"time_format = {_text(formats[0])}  # such as {printable(found.example)}"], ""
    choices = formats or ["%d.%m.%Y %H:%M"]
    question = f"how are times such as {found.example!r} written? Take away one # before time_format"
    return [f"# {printable(question)}", *(f"# time_format = {_text(form)}" for form in choices)], question


@dataclass(frozen=True)
class _Rest:
    """What follows `event`: more columns, and worths."""

    columns: Mapping[str, int | str]
    lines: tuple[str, ...]


def _events(sample: TableSample, layout: Layout) -> tuple[str, _Rest]:
    """The event of every row ("" where a column says it), and what tells what it is worth."""
    columns = layout.columns or {}
    at = next((place for place, name in enumerate(sample.names, 1) if plain(name) in EVENT_NAMES), None)
    column = None if at is None else sample.names[at - 1] if sample.header else at
    named: dict[str, int | str] = {} if column is None else {"event": column}
    if "value" in columns:
        found = content(sample.cells(columns["value"]))
        scale = f"# scale = [{found.smallest:g}, {found.largest:g}]  # below the middle is no interest; else all is"
        return "" if column is not None else "rating", _Rest(named, ("", "# [events]", scale))
    if column is None:
        event = _slug(sample.path.name.split(".")[0]) or "interaction"
        event = {"views": "view", "orders": "purchase", "purchases": "purchase", "clicks": "click"}.get(event, event)
        return event, _Rest({}, (f"values = {{ {_text(event)} = {_worth(event):g} }}  # what one is worth",))
    events = _counted_events(sample, column)
    worths = [f"{_text(name)} = {_worth(name):g}" for name, _ in events]
    seen = ", ".join(f"{printable(name)} {count:,}" for name, count in events)
    return "", _Rest(named, (f"values = {{ {', '.join(worths)} }}  # guessed from the names; rows: {seen}",))


def _worth(event: str) -> float:
    name = plain(event)
    return next((worth for worth, names in WORTHS.items() if name in names.split()), 1.0)


def _counted_events(sample: TableSample, column: int | str) -> list[tuple[str, int]]:
    """Every event of the file with its rows, the most frequent first."""
    table = TextTable.model_validate(sample.reading)
    with open_duckdb() as con:
        rows = text_rows(con, sample.path, table, {"event": column}, "interactions.columns")
        counted = f"select event, count(*) from ({rows}) where coalesce(event, '') <> '' group by 1 order by 2 desc, 1"
        found = con.execute(f"{counted} limit {MAX_EVENTS + 1}").fetchall()
    if len(found) > MAX_EVENTS:
        raise SourceError(f"{sample.path}: column {column!r} would name events, and has over {MAX_EVENTS} values")
    return [(str(event), int(count)) for event, count in found]


def _items(draft: ItemDraft, root: Path) -> str:
    lines = [
        f"# {draft.why}",
        *(f"#   {line}" for line in draft.sample.first_rows()),
        "[items]",
        *table_lines(draft.sample, root),
        *([f"category_separator = {_text(draft.category_separator)}"] if draft.category_separator else []),
        f"columns = {_inline(draft.columns)}",
    ]
    return "\n".join(lines) + "\n"


def _inline(columns: Mapping[str, int | str]) -> str:
    pairs = (f"{name} = {place if isinstance(place, int) else _text(place)}" for name, place in columns.items())
    return f"{{ {', '.join(pairs)} }}"


def _text(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return '"' + "".join(f"\\u{ord(one):04x}" if ord(one) < 32 or ord(one) == 127 else one for one in escaped) + '"'
