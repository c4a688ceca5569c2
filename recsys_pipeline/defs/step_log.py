"""Lines of the step log in the UI as well: an asset's page shows its epochs, trials and indexes while it runs."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.waiting import Silence, told_while_silent

steps = logging.getLogger("recsys_pipeline.steps")


class _InTheUi(logging.Handler):
    """Hands lines to a run's log: all of the first fifty, then a tenth, then a hundredth, and every warning.

    Each is an event that Dagster stores and the page loads: a sweep or a long training writes thousands.
    """

    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__(logging.INFO)
        self._log, self._seen = log, 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line, where it is its turn."""
        self._seen += 1
        if record.levelno >= logging.WARNING:
            self._log.warning(record.getMessage().strip())
        elif self._seen % _every(self._seen) == 0:
            self._log.info(record.getMessage().strip())


def _every(seen: int) -> int:
    """1 below 50 lines, 10 below 500, 100 below 5,000 ..."""
    return 10 ** (len(str(seen // 5)) - 1)


@contextmanager
def shown_in_ui(log: dg.DagsterLogManager) -> Iterator[None]:
    """While the body runs, what the step log says is said in the run's log too."""
    handler, level = _InTheUi(log), steps.level
    steps.addHandler(handler)
    steps.setLevel(logging.INFO)
    try:
        yield
    finally:
        steps.removeHandler(handler)
        steps.setLevel(level)


@contextmanager
def _listening(silence: Silence) -> Iterator[None]:
    """While the body runs, each line of the step log breaks the silence."""

    def heard(_: logging.LogRecord) -> bool:
        silence.broken()
        return True

    steps.addFilter(heard)
    try:
        yield
    finally:
        steps.removeFilter(heard)


def with_step_log(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asset's function whose step log the UI shows, and which says so where it is long at work without a word."""

    @functools.wraps(function)
    def logged(context: dg.AssetExecutionContext, *args: Any, **resources: Any) -> Any:
        key = context.asset_key.to_user_string()
        with (
            shown_in_ui(context.log),
            told_while_silent(f"  {key}", steps.info) as silence,
            _listening(silence),
        ):
            return function(context, *args, **resources)

    return logged
