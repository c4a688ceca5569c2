"""Frozen config dataclasses from plain mappings (JSON, sweep parameters)."""

from collections.abc import Mapping
from typing import Any, TypeVar

from recsys_pipeline.core.types import check_setting

Config = TypeVar("Config")


def parse_config(config: type[Config], values: Mapping[str, Any], path: str = "config") -> Config:
    """A config with the given fields set and defaults elsewhere; `SettingError` names the bad field by path."""
    return config(**{name: check_setting(config, name, value, f"{path}.{name}") for name, value in values.items()})
