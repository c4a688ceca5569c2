"""Tells which column holds users, items, values and times, and on what grounds; refuses what could be read two ways.

What is said on the command line wins, then the names of a header, then the content in the usual order `user, item,
value, timestamp`: a time may stand elsewhere where it is the only column of times. A wrong guess would be an
evaluation of something else, so what the content does not bear out is an error that shows every column.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys_pipeline.adapters.sources.drafts.column_content import Content
from recsys_pipeline.adapters.sources.drafts.column_names import EVENT_NAMES, plain, roles_by_name
from recsys_pipeline.core.errors import SettingError, SourceError

ROLES = ("user", "item", "value", "timestamp")
SAYABLE = (*ROLES, "items")
"""What `--columns` may say; `items` is a column that holds a list of items in each row."""
MAX_UNNAMED = 4
ENOUGH_ROWS = 20
"""Fewer rows say nothing about how often an id repeats."""
MANY_ROWS = 200
ASIN, REVIEWER = re.compile(r"B[0-9A-Z]{9}|\d{9}[\dX]"), re.compile(r"A[0-9A-Z]{10,27}")
"""Ids of Amazon, whose files of ratings alone have the item first in one release and the user first in the others."""
FEW_VALUES, MANY_ITEMS = 11, 50
"""A scale from 0 to 10 has 11 values: a column with no more beside one with many is hardly the items."""


@dataclass(frozen=True)
class Roles:
    """The 1-based place of each role, and why."""

    places: Mapping[str, int]
    reasons: tuple[str, ...]
    is_guessed: bool = False
    """Whether only the content says so."""


def said_roles(columns: Sequence[str], names: Sequence[str], width: int, where: str) -> Roles:
    """As `--columns` says: the role of each column in order, `-` for one that is not read, or `role=column` each.

    A column is a name of the header (`names`, empty where there is none) or a 1-based place.

    Raises:
        SettingError: a role is unknown, missing or given twice; a column is not there.
    """
    text = ",".join(columns)
    if any("=" in part for part in columns):
        pairs = [(role.strip(), column.strip()) for role, _, column in (part.partition("=") for part in columns)]
        check_roles([role for role, _ in pairs], text)
        return Roles({role: _place(column, names, width, where, role) for role, column in pairs}, ())
    check_roles([role for role in columns if role != "-"], text)
    if len(columns) > width:
        raise SettingError(f"{where} has {width} columns, and --columns names {len(columns)}: {text}")
    return Roles({role: place for place, role in enumerate(columns, 1) if role != "-"}, ())


def check_roles(roles: Sequence[str], text: str) -> None:
    """Raise `SettingError` where `--columns` names no user, no item, one twice, or something else."""
    unknown = [role for role in roles if role not in SAYABLE]
    has_items = ("item" in roles) != ("items" in roles)
    if unknown or len(set(roles)) < len(roles) or "user" not in roles or not has_items:
        raise SettingError(
            f"columns {text!r}: name user and item (or items: a list in each row), and value and timestamp where they "
            "are, once each, in the order of the file with - for a column that is not read, or as user=its name"
        )


def _place(column: str, names: Sequence[str], width: int, where: str, role: str) -> int:
    exact = [place for place, name in enumerate(names, 1) if name == column]
    found = exact or [place for place, name in enumerate(names, 1) if name.split(":")[0] == column]
    if len(found) > 1:
        raise SettingError(
            f"{where} names several columns {column!r}: say the place, such as --columns {role}={found[0]}"
        )
    if found:
        return found[0]
    if column.isdecimal() and 1 <= int(column) <= width:
        return int(column)
    has = f"its header has {', '.join(names)}" if names else f"it has no header, and {width} columns"
    raise SettingError(f"{where} has no column {column!r} (--columns {role}={column}): {has}")


def named_roles(header: Sequence[str], contents: Sequence[Content], path: Path) -> Roles:
    """By the names of a header; `SourceError` where they leave it open, or where an item column holds times."""
    found = roles_by_name(header)
    for role, places in found.items():
        if len(places) > 1:
            named = " and ".join(header[place - 1] for place in places)
            raise SourceError(f"{path}: {named} may each be the {role}: {_way_out(header, found, role)}")
    if "user" not in found or not {"item", "items"} & set(found):
        missing = "user" if "user" not in found else "item"
        raise SourceError(
            f"{path}: the header {list(header)} does not say which column is user and which is item (no known name "
            f"of a column of {missing}s): {_way_out(header, found, missing)}"
        )
    places = {role: where[0] for role, where in sorted(found.items(), key=lambda entry: entry[1])}
    for role in ("user", "item"):
        if contents and role in places and contents[places[role] - 1].time_kind in ("iso", "written"):
            kind = contents[places[role] - 1].describe()
            raise SourceError(
                f"{path}: column {header[places[role] - 1]!r} would be the {role}, and {kind}: say --columns"
            )
    unread = [name for place, name in enumerate(header, 1) if place not in places.values()]
    reasons = ["by the names of the columns"]
    if unread:
        reasons.append(f"not read: {', '.join(unread[:8])}{' …' if len(unread) > 8 else ''}")
    if events := [name for name in unread if plain(name) in EVENT_NAMES]:
        reasons.append(f"every row counts as interest, whatever its {events[0]}: filter the file where that is wrong")
    return Roles(places, tuple(reasons))


def _way_out(header: Sequence[str], found: Mapping[str, Sequence[int]], open_role: str) -> str:
    """The option that settles it, filled with what is known."""
    named = {role: header[places[0] - 1] for role, places in found.items() if role != open_role}
    said = {"user": named.get("user", "…"), "item": named.get("item", "…"), **named}
    said[open_role] = header[found[open_role][0] - 1] if open_role in found else "…"
    order = [role for role in SAYABLE if role in said and not (role == "item" and "items" in named)]
    return "say it, such as --columns " + ",".join(f"{role}={said[role]}" for role in order)


def guessed_roles(contents: Sequence[Content], path: Path) -> Roles:
    """By the content alone.

    Raises:
        SourceError: there are more columns than the usual four, the content does not bear out the usual order, or
            several columns hold times.
    """
    if len(contents) > MAX_UNNAMED:
        raise _open(path, contents, f"{len(contents)} columns and no header")
    at = _time_place(contents, path)
    others = [place for place in range(1, len(contents) + 1) if place != at]
    if len(others) < 2:
        raise _open(path, contents, "one column of times and only one other")
    user, item, *rest = others
    _check_ids(contents, path, user, item, rest)
    places = {"user": user, "item": item}
    different = " and ".join(f"{contents[place - 1].n_distinct:,}" for place in (user, item))
    usual = "" if at in (None, len(contents)) else ", after the time is set aside"
    reasons = [f"user = column {user} and item = column {item} by the usual order{usual} ({different} different)"]
    if rest:
        reasons.append(_rest(contents, path, rest[0], at, places))
    if at is not None:
        places["timestamp"] = at
        reasons.append(f"timestamp = column {at}: {contents[at - 1].describe()}")
    in_order = dict(sorted(places.items(), key=lambda entry: entry[1]))
    return Roles(in_order, tuple(reasons), is_guessed=True)


def _time_place(contents: Sequence[Content], path: Path) -> int | None:
    """Texts that are times may stand anywhere; numbers that may be times, as ids may look too, only at the end."""
    texts, epochs = (
        [place for place, one in enumerate(contents, 1) if one.time_kind in kinds]
        for kinds in (("iso", "written"), ("epoch",))
    )
    found = texts or (epochs if len(contents) > 2 else [])
    if len(found) > 1:
        raise _open(path, contents, f"columns {' and '.join(map(str, found))} may each be the times")
    if epochs == found and found and found != [len(contents)]:
        raise _open(path, contents, f"column {found[0]} may be times or ids")
    if not found and len(contents) == MAX_UNNAMED:
        raise _open(path, contents, "four columns and none of times (1990 to 2100)")
    return found[0] if found else None


def _check_ids(contents: Sequence[Content], path: Path, user: int, item: int, rest: Sequence[int]) -> None:
    for role, place in (("user", user), ("item", item)):
        found = contents[place - 1]
        if found.is_numeric and found.has_fractions:
            raise _open(path, contents, f"column {place} would be the {role}, and its numbers have fractions")
        if role == "item" and found.n >= ENOUGH_ROWS and found.n_distinct == 1:
            raise _open(path, contents, f"column {place} would be the item, and is {found.example!r} in every row")
    if ASIN.fullmatch(contents[user - 1].example) and REVIEWER.fullmatch(contents[item - 1].example):
        raise _open(path, contents, f"Amazon's items in column {user} and its reviewers in column {item}")
    few, many = contents[item - 1], [contents[place - 1].n_distinct for place in rest]
    if few.n_distinct <= FEW_VALUES and any(count > MANY_ITEMS for count in many):
        raise _open(path, contents, f"column {item} would be the item, and holds only {few.n_distinct} different")
    if few.is_numeric and few.n >= MANY_ROWS and few.n_distinct <= FEW_VALUES and few.largest <= FEW_VALUES:
        raise _open(path, contents, f"column {item} would be the item, and holds numbers as ratings are")


def _rest(contents: Sequence[Content], path: Path, place: int, at: int | None, places: dict[str, int]) -> str:
    """The value, where it stands in its usual place; elsewhere numbers may be a category or a price."""
    found = contents[place - 1]
    if at not in (None, len(contents)):
        return f"column {place} is not read: {found.describe()}; they may mean anything where times do not stand last"
    if not found.is_numeric:
        raise _open(path, contents, f"column {place} would be the value, and holds no numbers")
    places["value"] = place
    return f"value = column {place}: {found.describe()}"


def _open(path: Path, contents: Sequence[Content], why: str) -> SourceError:
    shown = "; ".join(f"{place}: {one.describe()}" for place, one in enumerate(contents, 1))
    return SourceError(
        f"{path} has {why}: say --columns, such as {_suggestion(contents)} (- is a column that is not read). "
        f"Its columns: {shown}"
    )


def _suggestion(contents: Sequence[Content]) -> str:
    """One line for `--columns` that suits the number of columns and where times may be."""
    times = next((at for kinds in (("iso", "written"), ("epoch",)) for at, one in enumerate(contents)
                  if one.time_kind in kinds), None)  # fmt: skip
    roles = ["-"] * len(contents)
    free = [at for at in range(len(contents)) if at != times]
    for at, role in zip(free, ("user", "item"), strict=False):
        roles[at] = role
    if times is not None:
        roles[times] = "timestamp"
    if len(free) > 2 and free[2] == 2 and contents[2].is_numeric:
        roles[2] = "value"
    return ",".join(roles)
