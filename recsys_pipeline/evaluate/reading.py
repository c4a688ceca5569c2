"""Shows people how their files were read, so that a wrong guess is seen before a figure is believed."""

from collections.abc import Mapping

from rich.console import Console

from recsys_pipeline.adapters.splits.checks import shown_rows
from recsys_pipeline.adapters.splits.files import ReadFile
from recsys_pipeline.core.folds.protocols import PROTOCOLS
from recsys_pipeline.core.printable import printable


def show_files(files: Mapping[str, ReadFile], console: Console) -> None:
    """What each file was understood as, why, and its first rows; what speaks against it stands out."""
    for part, file in files.items():
        _line(console, f"{part:<10}{file.n_rows:>12,} pairs  {file.layout.describe()}")
        for reason in file.layout.reasons:
            _line(console, f"{'':<10}{reason}")
        if part == "data" and not file.layout.knows_order:
            _line(console, f"{'':<10}no times and no order: cut it by {_without_order()}; other protocols need times")
        for at, row in enumerate(file.first_rows if file.layout.format == "table" else ()):
            _line(console, f"{'':<10}{'first rows as read: ' if at == 0 else ' ' * 20}{shown_rows((row,))}")
        for sign in file.signs:
            _line(console, f"{'':<10}LOOK: {sign}. If that is wrong, say --columns", style="bold yellow")


def _without_order() -> str:
    return " or ".join(name for name, protocol in PROTOCOLS.items() if not protocol.needs_order)


def _line(console: Console, text: str, style: str | None = None) -> None:
    one_line = printable(text).replace("\n", "\\n")
    console.print(one_line, soft_wrap=True, markup=False, highlight=False, style=style)
