"""The fields of assets' forms in words, for people without a Launchpad before them."""

import difflib
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic.fields import FieldInfo

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.types import BOUNDS
from recsys_pipeline.defs.overrides import forms_of


@dataclass(frozen=True)
class FormField:
    """One field; all in words."""

    name: str
    type: str
    default: str
    range: str
    meaning: str


def asset_forms(defs: dg.Definitions) -> dict[str, type[dg.Config]]:
    """Of each asset that has fields, by its key, the form."""
    return dict(sorted(forms_of(defs.resolve_implicit_global_asset_job_def()).items()))


def fields_of(defs: dg.Definitions, asset: str) -> list[FormField]:
    """The fields of an asset; raises `SettingError` that names others where it has none."""
    forms = asset_forms(defs)
    if asset not in forms:
        near = difflib.get_close_matches(asset, forms, n=5, cutoff=0.4)
        like = f"similar are {', '.join(near)}" if near else "`recsys fields` lists those that have some"
        raise SettingError(f"no asset {asset!r} has fields; {like}")
    return [_told(name, field) for name, field in forms[asset].model_fields.items()]


def _told(name: str, field: FieldInfo) -> FormField:
    bounds = [
        f"{sign} {getattr(one, bound)}"
        for one in field.metadata
        for bound, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if bound in BOUNDS and hasattr(one, bound)
    ]
    default = "needed" if field.is_required() else _plain(field.get_default(call_default_factory=True))
    return FormField(name, _type(field.annotation), default, ", ".join(bounds), field.description or "")


def _plain(value: Any) -> str:
    return json.dumps(value, default=str)


def _type(kind: Any) -> str:
    """As people write it: the choices of a literal, `or none` of an optional one."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " | ".join(map(str, parts))
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _type(part) for part in parts)
    if parts:
        return f"{origin.__name__} of {', '.join(map(_type, parts))}"
    return getattr(kind, "__name__", str(kind))
