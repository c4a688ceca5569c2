"""What is refused for good is told once, in its own words: no second run, and no stack of ours."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.core.errors import (
    ArtifactError,
    DataError,
    ModelError,
    RecsysError,
    SettingError,
    SourceError,
    UnknownPastError,
)
from recsys_pipeline.defs.refusals import refusals_once

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WILL_RETRY = "dagster/will_retry"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One that retries failed runs once, as `dagster.yaml` says."""
    home: Path = tmp_path_factory.mktemp("dagster")
    text = "telemetry: {enabled: false}\nrun_retries: {enabled: true, max_retries: 1}\n"
    (home / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


def failed(instance: dg.DagsterInstance, error: Exception) -> tuple[dg.DagsterRun, dg.DagsterEvent]:
    """A run of an op that raises this, and its failure."""

    def refuse(_: dg.OpExecutionContext) -> None:
        raise error

    op = dg.op(name="refuse")(refusals_once(refuse))

    @dg.job(executor_def=dg.in_process_executor)
    def refusing() -> None:
        op()

    result = refusing.execute_in_process(QUIET, instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return run, event


@pytest.mark.parametrize("kind", [SettingError, DataError, ModelError, UnknownPastError])
def test_what_comes_out_the_same_is_told_once(instance: dg.DagsterInstance, kind: type[RecsysError]) -> None:
    run, event = failed(instance, kind("reg is -1: at least 0"))
    assert run.tags[WILL_RETRY] == "false"
    told = event.step_failure_data
    assert told.user_failure_data is not None
    assert told.user_failure_data.description == "reg is -1: at least 0"
    assert told.error is not None
    assert told.error.cause is None
    assert __file__ not in "".join(told.error.stack), "where it was raised is no news: nothing broke"


@pytest.mark.parametrize(
    "error", [SourceError("no answer"), ArtifactError("gone"), OSError(28, "No space left on device"), KeyError("bug")]
)
def test_what_had_a_bad_moment_is_tried_again(instance: dg.DagsterInstance, error: Exception) -> None:
    run, event = failed(instance, error)
    assert run.tags[WILL_RETRY] == "true"
    assert event.step_failure_data.error is not None
    assert event.step_failure_data.error.cause is not None
    assert __file__ in "".join(event.step_failure_data.error.cause.stack), "a stack helps whoever mends it"


def test_where_it_was_raised_is_in_the_debug_log(instance: dg.DagsterInstance) -> None:
    run, _ = failed(instance, DataError("9% are bad"))
    lines = [entry.user_message for entry in instance.all_logs(run.run_id) if entry.level == 10]
    assert any("raise error" in line for line in lines)
