"""`recsys serve`: lists over HTTP."""

import argparse

from rich.console import Console

from recsys_pipeline.service.server import serve
from recsys_pipeline.settings import settings


def run(console: Console, parsed: argparse.Namespace) -> int:  # noqa: ARG001 - as all verbs
    """Listen until told to end."""
    serve(settings(), parsed.host, parsed.port, parsed.deadline_ms / 1000)
    return 0
