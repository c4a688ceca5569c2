"""What is refused for good is told once: no second try, and no stack, since nothing broke."""

import functools
import traceback
from collections.abc import Callable
from typing import Any

import dagster as dg

from recsys_pipeline.core.errors import DataError, ModelError, RecsysError, SettingError, UnknownPastError

LASTING = (SettingError, DataError, ModelError, UnknownPastError)
"""What comes out the same however often it is run. Sources, stores and machines may have a bad moment, code a bug that
was met at random."""
MAX_RETRIES = "dagster/max_retries"


def refusals_once(function: Callable[..., Any], lasting: tuple[type[RecsysError], ...] = LASTING) -> Callable[..., Any]:
    """An asset's or op's function whose `lasting` errors are failures that nothing tries again.

    The first argument is the step's context. The failure has the error's own words; where it was raised stands in the
    step's debug log.
    """

    @functools.wraps(function)
    def refusing(context: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return function(context, *arguments, **named)
        except lasting as error:
            context.log.debug(traceback.format_exc())
            refuse_retries(context)
            failure = dg.Failure("\n".join([str(error), *getattr(error, "__notes__", ())]), allow_retries=False)
        raise failure

    return refusing


def refuse_retries(context: Any) -> None:
    """Let Dagster not run this run once more.

    `Failure(allow_retries=False)` holds for a step's own retry policy alone: what tries failed runs again looks at this
    tag (Dagster 1.13).
    """
    context.instance.add_run_tags(context.run.run_id, {MAX_RETRIES: "0"})
