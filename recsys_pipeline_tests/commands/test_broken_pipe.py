"""A command whose reader leaves, as `head` does, ends in silence with the code of SIGPIPE."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LONG = """
import sys
from unittest import mock
from recsys_pipeline import cli
from recsys_pipeline.commands.screen import console, show_steps
from recsys_pipeline.core.errors import DataError
def run(parsed):
    {body}
with mock.patch.object(cli, "_run", run):
    sys.exit(cli.main(["status"]))
"""
BODIES = {
    "print": "print('line\\n' * 100_000); return 0",
    "a table": "[console.print('line') for _ in range(30_000)]; return 0",
    "an error": "print('x' * 100_000, flush=False); raise DataError('y' * 100_000)",
    "what is left in the buffer": "sys.stdout.write('line'); return 0",
}


def run_into_a_closed_pipe(body: str, folder: Path) -> tuple[int, str]:
    reading, writing = os.pipe()
    os.close(reading)
    script = [sys.executable, "-c", LONG.format(body=body)]
    ran = subprocess.run(script, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=folder)
    os.close(writing)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_it_ends_in_silence(body: str, tmp_path: Path) -> None:
    assert run_into_a_closed_pipe(body, tmp_path) == (141, "")


def test_steps_that_nobody_reads_stop_no_job(tmp_path: Path) -> None:
    body = "import logging; show_steps(); logging.getLogger('recsys_pipeline.steps').info('step'); open('done', 'w')\n"
    assert run_into_a_closed_pipe(body + "    return 0", tmp_path) == (0, "")
    assert (tmp_path / "done").exists()


def test_a_pipe_of_something_else_that_breaks_is_a_bug_and_keeps_its_traceback(tmp_path: Path) -> None:
    body = "raise BrokenPipeError(32, 'a connection to a database')"
    ran = subprocess.run([sys.executable, "-c", LONG.format(body=body)], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1
    assert "a connection to a database" in ran.stderr
