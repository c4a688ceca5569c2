"""Child processes that have the slow imports behind them: forked from a server that has made no JAX array."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

PRELOADED = [
    "dagster",
    "recsys_pipeline.core.models.als",
    "recsys_pipeline.core.models.stl",
    "recsys_pipeline.core.neighbors.index",
    "recsys_pipeline.core.reports.page.plots",
    "recsys_pipeline_tests.deployment",
]
TOUCHES = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"})
"""Audit events by which Python touches the disk; a kill comes just before one of them."""


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def exit_code(function: Callable[..., None], *arguments: Any, timeout_s: float = 120) -> int | None:
    """How `function(*arguments)` ended in a process of its own: 0, 1 after an error, -9 killed; None where it hung."""
    process = _context().Process(target=function, args=arguments)
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def die_before_touch(number: int, folder: Path) -> Callable[[], int]:
    """From now on, die by SIGKILL just before this process touches the folder for the `number`-th time; 0 never dies.

    Returns what tells the touches so far. An audit hook cannot be taken away: call it in a process of its own.
    """
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in TOUCHES and str(arguments[0]).startswith(str(folder)):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return lambda: seen
