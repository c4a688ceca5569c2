"""Checks of single fields of a sweep YAML; each raises `SettingError` with the path of the field."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from recsys_pipeline.core.errors import SettingError

NUMBERS_HINT = "(YAML reads 1e-3 as text: write 1.0e-3 or 0.001)"
"""W&B reads the same file with the same YAML, so that ours must not read it otherwise."""


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """The value, which must be a mapping; what it is instead is told by its kind alone, since it may be any file."""
    if not isinstance(value, Mapping):
        kind = {str: "a text", list: "a list", type(None): "nothing"}.get(type(value), f"a {type(value).__name__}")
        raise SettingError(f"{path} must be a mapping of names to values, not {kind}: is it a sweep file?")
    return value


def known(body: Mapping[str, Any], keys: Collection[str], path: str) -> None:
    """Nothing but these keys."""
    unknown = sorted(map(str, set(body) - set(keys)))
    if unknown:
        raise SettingError(f"{path}: {unknown[0]!r} is not in W&B's sweep schema; it has {', '.join(sorted(keys))}")


def required(body: Mapping[str, Any], key: str, path: str) -> Any:
    """The value of a key that must be there."""
    if key not in body:
        raise SettingError(f"{path}: `{key}` is missing")
    return body[key]


def one_of(value: Any, choices: tuple[str, ...], path: str) -> str:
    """The value, which must be one of these words."""
    if value not in choices:
        raise SettingError(f"{path} must be one of {', '.join(choices)}, got {value!r}")
    return value


def number(value: Any, path: str) -> float:
    """The value, which must be a number, as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(f"{path} must be a number, got {value!r} {NUMBERS_HINT}")
    return float(value)


def whole(value: Any, path: str) -> int:
    """The value, which must be a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise SettingError(f"{path} must be a whole number ≥ 1, got {value!r}")
    return value


def looks_like_a_number(value: Any) -> bool:
    """Whether it is a text that its author takes for a number."""
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False
