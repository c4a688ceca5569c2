"""`recsys ui`: Dagster's UI over this source's own history."""

import argparse

from dotenv import load_dotenv
from rich.console import Console

from recsys_pipeline.settings import settings


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Run it until Ctrl-C; `.env` wins over the environment here, as Dagster has it for its own processes."""
    load_dotenv(".env", override=True)
    settings.cache_clear()
    from recsys_pipeline.commands.running.dagster_ui import serve_ui

    return serve_ui(console, parsed.host, parsed.port, parsed.end_runs)
