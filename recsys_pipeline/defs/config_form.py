"""From a frozen dataclass of the core to the typed form of the Launchpad: one definition, no copies."""

import dataclasses
import typing
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field, create_model, model_validator

from recsys_pipeline.core.configs import BOUNDS

T = TypeVar("T")


def config_form(dataclass_type: type, **extra: Any) -> type[dg.Config]:
    """A `dg.Config` with the dataclass's fields, defaults, bounds and help texts, and the `extra` fields.

    A form is made only of values that the dataclass takes too: what that raises (`SettingError`) goes through.
    """
    types = typing.get_type_hints(dataclass_type)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(dataclass_type):
        bounds = {name: field.metadata[name] for name in BOUNDS if name in field.metadata}
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        help_text = field.metadata.get("help")
        fields[field.name] = (_form_type(types[field.name]), Field(default=default, description=help_text, **bounds))
    name = dataclass_type.__name__

    def make(form: Any) -> Any:
        from_form(dataclass_type, form)
        return form

    makes: dict[str, Any] = {f"makes_{name}": model_validator(mode="after")(make)}
    return create_model(f"{name}Form", __base__=dg.Config, __validators__=makes, **fields, **extra)


def _form_type(kind: Any) -> Any:
    """Dagster's forms know lists and no tuples."""
    if typing.get_origin(kind) is tuple:
        return list[typing.get_args(kind)[0]]
    return kind


def from_form(dataclass_type: type[T], form: dg.Config) -> T:
    """The dataclass with the values of the form; what the form holds as a list becomes a tuple again."""
    names = [field.name for field in dataclasses.fields(dataclass_type)]  # pyright: ignore[reportArgumentType]
    values = {name: getattr(form, name) for name in names}
    return dataclass_type(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
