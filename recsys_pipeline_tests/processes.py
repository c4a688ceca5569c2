"""Child processes that have the slow imports behind them: forked from a server that has made no JAX array."""

import multiprocessing
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from typing import Any

PRELOADED = [
    "dagster",
    "recsys_pipeline.core.models.als",
    "recsys_pipeline.core.models.stl",
    "recsys_pipeline.core.neighbors.index",
    "recsys_pipeline.core.reports.page.plots",
    "recsys_pipeline_tests.deployment",
]


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
