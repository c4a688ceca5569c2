"""`recsys models`: what is registered in `core/models`."""

import argparse
import dataclasses
import inspect
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.core import models
from recsys_pipeline.core.models import ModelSpec, discover


def run(console: Console, _: argparse.Namespace) -> int:
    """Print a line for each."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in ("model", "learns from", "daily", "swept", "continued", "what it is"):
        table.add_column(heading)
    for name, spec in discover().items():
        has_settings = bool(dataclasses.fields(spec.config))
        marks = ["yes" if mark else "–" for mark in (spec.daily, has_settings, spec.continue_fit)]
        table.add_row(name, spec.data, *marks, escape(_first_sentence(spec)))
    console.print(table)
    console.print("`recsys fields models/NAME` lists a model's settings")
    return 0


def _first_sentence(spec: ModelSpec) -> str:
    """The first line of its file."""
    files = [module for name, module in sys.modules.items() if name.startswith(f"{models.__name__}.")]
    text = inspect.getdoc(next(module for module in files if getattr(module, "SPEC", None) is spec)) or ""
    return text.split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")
