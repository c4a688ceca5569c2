"""Frozen config dataclasses from and to plain mappings, with types and bounds checked field by field."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from recsys_pipeline.core.errors import SettingError

Config = TypeVar("Config")

BOUNDS = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}


def parse_config(config: type[Config], values: Mapping[str, Any], path: str = "config") -> Config:
    """A config with the given fields set and defaults elsewhere; `SettingError` names the bad field by path."""
    return config(**{name: check_field(config, name, value, f"{path}.{name}") for name, value in values.items()})


def check_field(config: type, name: str, value: Any, path: str) -> Any:
    """The value as the field's type (an int where a float is asked becomes one), checked against the field's bounds."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    if name not in fields:
        raise SettingError(f"{path}: {config.__name__} has no field {name!r}; it has {', '.join(sorted(fields))}")
    value = _as_type(value, typing.get_type_hints(config)[name], path)
    for bound, (words, holds) in BOUNDS.items():
        limit = fields[name].metadata.get(bound)
        if limit is not None and not holds(value, limit):
            raise SettingError(f"{path} must be {words} {limit}, got {value!r}")
    return value


def _as_type(value: Any, kind: Any, path: str) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise SettingError(f"{path} must be one of {', '.join(map(repr, choices))}, got {value!r}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in (int, float, str, bool) and type(value) is not kind:
        raise SettingError(f"{path} must be of type {kind.__name__}, got {value!r}")
    return value
