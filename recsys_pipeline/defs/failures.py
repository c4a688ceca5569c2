"""What people are told of a failed step: the message of an error raised on purpose, class and traceback of a bug."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import dagster as dg

from recsys_pipeline.adapters.store.machine_errors import says_of_the_machine
from recsys_pipeline.core import errors
from recsys_pipeline.core.errors import RecsysError

OURS = f"{errors.__name__}."
DAGSTERS = ("DagsterAssetCheckFailedError", "Failure")
"""A check that blocks and a failure that an op declares are no bugs either."""


@dataclass(frozen=True)
class StepFailure:
    """A step that failed, and why."""

    step: str
    """As the asset's key is written."""
    reason: str
    traceback: str = ""
    """Of a bug alone."""
    error: str = ""
    """Name of the class of what was raised."""


def step_failures(events: Iterable[dg.DagsterEvent]) -> Iterator[StepFailure]:
    """The failed steps of a run, in order."""
    for event in events:
        if not event.is_step_failure:
            continue
        error = event.step_failure_data.error
        # Dagster wraps what the step raised; what that in turn was raised from says less, not more.
        error = error.cause if error and error.cause else error
        step = (event.step_key or "").replace("__", "/")
        if error is None:
            yield StepFailure(step, "no reason given")
            continue
        message = error.message.strip()
        name, _, text = message.partition(": ")
        kind = (error.cls_name or name).rpartition(".")[-1]
        if (name.startswith(OURS) or error.cls_name in DAGSTERS) and text:
            yield StepFailure(step, text, error=kind)
        elif says_of_the_machine(message):
            yield StepFailure(step, f"{message}; see `recsys doctor`", error=kind)
        else:
            yield StepFailure(step, message, "".join(error.stack), kind)


def cause_of(result: dg.ExecuteInProcessResult | dg.JobExecutionResult) -> RecsysError:
    """The first failed step's own error; a bug's has its traceback as a note."""
    for failure in step_failures(result.all_events):
        error = RecsysError(f"{failure.step} failed: {failure.reason}")
        if failure.traceback:
            error.add_note(failure.traceback)
        return error
    return RecsysError(f"run {result.run_id} failed; see the UI")
