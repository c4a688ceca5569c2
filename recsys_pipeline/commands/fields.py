"""`recsys fields [ASSET]`: what the Launchpad's form of an asset takes, and `--set` too."""

import argparse

from rich.markup import escape
from rich.table import Table

from recsys_pipeline import definitions
from recsys_pipeline.commands.screen import console
from recsys_pipeline.defs.form_fields import FormField, asset_forms, fields_of


def run(parsed: argparse.Namespace) -> int:
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
