"""Frozen config dataclasses from plain mappings (JSON, sweep parameters), and values from what people type."""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeVar

import yaml

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.types import check_setting

Config = TypeVar("Config")
SIMILAR = 0.4
"""How alike names must be to be told of a misspelt one: 1 is equal."""


def parse_config(config: type[Config], values: Mapping[str, Any], path: str = "config") -> Config:
    """A config with the given fields set and defaults elsewhere; `SettingError` names the bad field by path."""
    return config(**{name: check_setting(config, name, value, f"{path}.{name}") for name, value in values.items()})


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
