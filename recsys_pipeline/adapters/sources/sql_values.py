"""Values as a database driver gives them, turned into the contract's Arrow columns; what cannot be is a defect.

A whole batch is converted at once where its values are of one kind; only a batch with a stray among them is looked at
value by value.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from recsys_pipeline.adapters.sources.identifiers import identifier

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Converted:
    """An Arrow column, and for each row that could not be converted (null there) the reason."""

    column: pa.Array
    wrong: Mapping[int, str]


def kinds_of(values: Values) -> set[type]:
    """The types of the values that are not null."""
    return set(map(type, values)) - {type(None)}


def texts(name: str, values: Values) -> Converted:
    """Ids and names: text as it is, whole numbers and UUIDs as text."""
    kinds = kinds_of(values)
    if kinds <= {str}:
        return Converted(pa.array(values, pa.string()), {})
    if kinds == {int} and all(abs(value or 0) < 2**63 for value in values):
        return Converted(pa.array(values, pa.int64()).cast(pa.string()), {})
    return each(name, values, _text, pa.string(), "text or a whole number")


def identifiers(name: str, values: Values) -> Converted:
    """Ids: texts, written alike in every table."""
    found = texts(name, values)
    return Converted(pa.array([identifier(text) for text in found.column.to_pylist()], pa.string()), found.wrong)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | uuid.UUID) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | Decimal) and value == int(value):
        return str(int(value))
    raise ValueError


def numbers(name: str, values: Values, kind: pa.DataType) -> Converted:
    """Floating-point numbers; text is none, however it looks: a query can cast it."""
    kinds = kinds_of(values)
    if kinds <= {Decimal}:
        values, kinds = tuple(None if value is None else float(value) for value in values), {float}
    if kinds <= {float}:
        return Converted(pa.array(values, pa.float64()).cast(kind, safe=False), {})
    found = each(name, values, _number, pa.float64(), "a number")
    return Converted(found.column.cast(kind, safe=False), found.wrong)


def _number(value: Any) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    raise ValueError


def whole_numbers(name: str, values: Values, kind: pa.DataType) -> Converted:
    """Whole numbers that fit `kind`."""
    largest = 2 ** (kind.bit_width - 1)
    if kinds_of(values) <= {int} and all(-largest <= (value or 0) < largest for value in values):
        return Converted(pa.array(values, kind), {})

    def whole(value: Any) -> int:
        if _number(value) == int(value) and -largest <= int(value) < largest:
            return int(value)
        raise ValueError

    return each(name, values, whole, kind, "a whole number")


def truths(name: str, values: Values) -> Converted:
    """Booleans; a null is true, as where there is no such column."""

    def truth(value: Any) -> bool:
        if value in (0, 1) and not isinstance(value, str):
            return bool(value)
        raise ValueError

    filled = tuple(True if value is None else value for value in values)
    return each(name, filled, truth, pa.bool_(), "true or false")


def lists(name: str, values: Values, separator: str) -> Converted:
    """Categories: a list as it is, text split at the separator; null and empty text are no categories."""

    def split(value: Any) -> list[str]:
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return list(value)
        if isinstance(value, str):
            return value.split(separator) if value else []
        raise ValueError

    filled = tuple([] if value is None else value for value in values)
    return each(name, filled, split, pa.list_(pa.string()), f"a list of texts, or text with {separator!r} between them")


def each(name: str, values: Values, parse: Callable[[Any], Any], kind: pa.DataType, wanted: str) -> Converted:
    """Value by value; `parse` raises `ValueError`, `TypeError` or `OverflowError` for one that is not `wanted`."""
    parsed: list[Any] = [None] * len(values)
    wrong: dict[int, str] = {}
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            parsed[row] = parse(value)
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            wrong[row] = f"{name} {value!r} is not {wanted}"
    return Converted(pa.array(parsed, kind), wrong)


def defects(columns: Mapping[str, Converted], rows: int) -> pa.Array:
    """The reason of each row: that of the first of its columns that could not be converted."""
    reasons: list[str | None] = [None] * rows
    for converted in reversed(list(columns.values())):
        for row, why in converted.wrong.items():
            reasons[row] = why
    return pa.array(reasons, pa.string())
