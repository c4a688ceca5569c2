"""`recsys init-source FILE…`: the TOML of a source, as far as the files tell it."""

import argparse
import re

from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.sources.drafts.source_draft import draft_source
from recsys_pipeline.core.errors import SettingError


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the TOML, or write it where there is none yet."""
    if parsed.name is not None and not re.fullmatch("[a-z0-9-]+", parsed.name):
        raise SettingError(f"--name {parsed.name}: lower case letters, digits and dashes, such as my-shop")
    draft = draft_source(parsed.files, parsed.name, parsed.to)
    if parsed.to is None:
        print(draft.text, end="")
        return 0
    if not parsed.to.absolute().parent.is_dir():
        raise SettingError(f"--to {parsed.to}: there is no folder {parsed.to.absolute().parent}, make it first")
    try:
        with parsed.to.open("x", encoding="utf-8") as stream:
            stream.write(draft.text)
    except FileExistsError as error:
        raise SettingError(f"{parsed.to} is there already: name another file, or move that one away") from error
    console.print(f"Written {parsed.to}", soft_wrap=True)
    for question in draft.open_questions:
        console.print(f"[yellow]open[/yellow]: {escape(question)}", soft_wrap=True)
    console.print("Next, in .env: RECSYS_SOURCE=files and RECSYS_SOURCE_CONFIG=" + escape(str(parsed.to)))
    console.print("then `recsys doctor`")
    return 0
