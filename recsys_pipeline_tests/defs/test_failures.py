"""A failed step is told in its own words: what was raised on purpose by its message, a bug with its traceback."""

import errno
import os

import dagster as dg
import pytest

from recsys_pipeline.core.errors import ArtifactError, RecsysError
from recsys_pipeline.defs.failures import cause_of


def failed(error: Exception) -> RecsysError:
    """What people are told where `speed/overlay` raises this."""

    @dg.op(name="speed__overlay")
    def overlay() -> None:
        raise error

    @dg.job(executor_def=dg.in_process_executor)
    def hourly() -> None:
        overlay()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        return cause_of(hourly.execute_in_process(quiet, instance=instance, raise_on_error=False))


def notes(error: RecsysError) -> str:
    return "".join(getattr(error, "__notes__", ()))


@pytest.mark.parametrize("error", [ArtifactError("x.json: it is damaged"), dg.Failure("x.json: it is damaged")])
def test_an_error_on_purpose_is_its_message(error: Exception) -> None:
    told = failed(error)
    assert str(told) == "speed/overlay failed: x.json: it is damaged"
    assert notes(told) == ""


def test_a_bug_has_its_class_and_its_traceback() -> None:
    told = failed(KeyError("nobody"))
    assert str(told) == "speed/overlay failed: KeyError: 'nobody'"
    assert "in overlay" in notes(told)
    assert "raise error" in notes(told)


def test_what_the_machine_says_is_no_bug() -> None:
    told = failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/file"))
    assert str(told).endswith("[Errno 28] No space left on device: 'a/file'; see `recsys doctor`")
    assert notes(told) == ""


def test_a_file_that_nobody_missed_is_one() -> None:
    assert "raise error" in notes(failed(FileNotFoundError(errno.ENOENT, "No such file", "a/file")))
