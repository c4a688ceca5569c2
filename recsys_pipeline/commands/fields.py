"""`recsys fields [ASSET]`: what the Launchpad's form of an asset takes, and `--set` too."""

import argparse
import difflib
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline import definitions
from recsys_pipeline.core.configs import BOUNDS
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.overrides import forms_of


@dataclass(frozen=True)
class FormField:
    """One field; all in words."""

    name: str
    type: str
    default: str
    range: str
    meaning: str


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the fields of an asset, or which assets have some."""
    if parsed.asset is None:
        for key, form in asset_forms(definitions.defs).items():
            console.print(f"{key}  [dim]{', '.join(form.model_fields)}[/dim]", soft_wrap=True)
        return 0
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in ("field", "type", "default", "range", "meaning"):
        table.add_column(heading)
    for field in fields_of(definitions.defs, parsed.asset):
        table.add_row(*map(escape, _cells(field)))
    console.print(table)
    console.print(f"recsys run JOB DAY --set {parsed.asset}.FIELD=VALUE", soft_wrap=True)
    return 0


def _cells(field: FormField) -> tuple[str, ...]:
    return field.name, field.type, field.default, field.range, field.meaning


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
