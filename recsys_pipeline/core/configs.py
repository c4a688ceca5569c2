"""Settings: fields that carry help and bounds, how they are checked, and how text and mappings become a config."""

import dataclasses
import difflib
import math
import numbers
import re
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, TypeVar

import yaml

from recsys_pipeline.core.errors import SettingError

BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}


def setting(default: Any, help: str, **bounds: float | int) -> Any:
    """A dataclass field that carries its help text and bounds (`ge`, `gt`, `le`, `lt`) to forms, sweeps and docs.

    >>> @dataclass(frozen=True)
    ... class Config:
    ...     epochs: int = setting(10, "Passes over the training data.", ge=1)
    ...     __post_init__ = check_settings
    >>> Config(epochs=0)
    Traceback (most recent call last):
        ...
    recsys_pipeline.core.errors.SettingError: Config.epochs must be at least 1, got 0
    """
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


def check_settings(config: Any) -> None:
    """Bring every field of a config dataclass to its type and check its bounds: the `__post_init__` of all configs."""
    for field in dataclasses.fields(config):
        value = check_setting(type(config), field.name, getattr(config, field.name))
        object.__setattr__(config, field.name, value)


def check_setting(config: type, name: str, value: Any, path: str | None = None) -> Any:
    """A value as the type of the config's field `name` (an int where a float is asked becomes one), within its bounds.

    Raises `SettingError`, which names the field by `path`; that is `Config.name` where none is given.
    """
    path = path or f"{config.__name__}.{name}"
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
    if typing.get_origin(kind) is tuple and isinstance(value, tuple | list):  # JSON and YAML know only lists
        return tuple(_as_type(part, typing.get_args(kind)[0], f"{path}[{at}]") for at, part in enumerate(value))
    if kind in (int, float) and isinstance(value, numbers.Real) and not isinstance(value, bool):
        if math.isfinite(value) if kind is float else float(value).is_integer():
            return kind(typing.cast(Any, value))
        raise SettingError(f"{path} must be {'finite' if kind is float else 'a whole number'}, got {value!r}")
    if (kind in (int, float, str, bool) and type(value) is not kind) or typing.get_origin(kind) is tuple:
        raise SettingError(f"{path} must be of type {getattr(kind, '__name__', kind)}, got {value!r}")
    return value


Config = TypeVar("Config")
SIMILAR = 0.4
"""How alike names must be to be told of a misspelt one: 1 is equal."""


def parse_config(config: type[Config], values: Mapping[str, Any], path: str = "config") -> Config:
    """A config with the given fields set and defaults elsewhere; `SettingError` names the bad field by path."""
    return config(**{name: check_setting(config, name, value, f"{path}.{name}") for name, value in values.items()})


def stored_config(config: type[Config], values: Mapping[str, Any], path: str) -> Config:
    """A config as a file of ours holds it: each field is checked, and nothing that takes more than the fields.

    That was done when it was written, and may load much.
    """
    made = object.__new__(config)
    for field in dataclasses.fields(typing.cast(Any, config)):
        value = values.get(field.name, field.default)
        object.__setattr__(made, field.name, check_setting(config, field.name, value, f"{path}.{field.name}"))
    if unknown := sorted(values.keys() - {field.name for field in dataclasses.fields(typing.cast(Any, config))}):
        check_setting(config, unknown[0], None, f"{path}.{unknown[0]}")
    return made


def similar_names(name: str, known: Collection[str]) -> str:
    """In words, the names that are like one that does not exist, or all that do.

    >>> similar_names("embeding_size", ["epochs", "embedding_size"])
    'similar are embedding_size'
    """
    near = difflib.get_close_matches(name, list(known), n=5, cutoff=SIMILAR)
    return f"similar are {', '.join(near)}" if near else f"there are {', '.join(known)}"


class Yaml12(yaml.SafeLoader):
    """YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), of which JSON is a part.

    PyYAML reads 1.1, where `1e-3` is text, `on` is true, `1_000` and `1:30` are numbers and `08` is neither.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def read_value(text: str, place: str = "") -> Any:
    """What a person means who types `--set field=text`: one rule for all commands.

    Raises `SettingError` for what is no YAML, after the `place` at which it stands.

    >>> [read_value(text) for text in ("1e-3", "08", "true", "on", "1_000", "[1, 2]", '"7"', "null", "")]
    [0.001, 8, True, 'on', '1_000', [1, 2], '7', None, '']
    """
    try:
        return yaml.load(text, Yaml12) if text.strip() else text
    except (yaml.YAMLError, ValueError) as error:
        why = f"{text} is no YAML value ({' '.join(str(error).split())}): quote it"
        raise SettingError(f"{place}: {why}" if place else why) from error


def _whole(_: Yaml12, node: yaml.ScalarNode) -> int:
    digits = node.value.lstrip("+-")
    return int(node.value, {"0x": 16, "0o": 8}.get(digits[:2], 10))


def _number(_: Yaml12, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))


def _flag(_: Yaml12, node: yaml.ScalarNode) -> bool:
    return node.value.lower() == "true"


def _nothing(_: Yaml12, __: yaml.ScalarNode) -> None:
    return None


for _tag, _pattern, _starts, _read in (
    ("null", r"~|null|Null|NULL|", "~nN\0", _nothing),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF", _flag),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _whole),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
     "-+.0123456789", _number),
):  # fmt: skip
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_starts))
    Yaml12.add_constructor(f"tag:yaml.org,2002:{_tag}", _read)
