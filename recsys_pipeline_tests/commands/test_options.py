"""The command line as a whole: verbs and modules belong together, and the parser costs nothing."""

import argparse
import pkgutil
import subprocess
import sys

from recsys_pipeline import commands
from recsys_pipeline.commands.options import parser

OF_ALL = {"options", "screen"}
HEAVY = ("dagster", "jax", "wandb", "pyarrow", "numpy", "pandas", "duckdb")


def verbs() -> set[str]:
    found = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return set(found.choices)


def test_every_verb_has_its_module_and_every_module_its_verb():
    modules = {found.name for found in pkgutil.iter_modules(commands.__path__)} - OF_ALL
    assert modules == {verb.replace("-", "_") for verb in verbs()}


def test_help_imports_nothing_that_takes_seconds():
    script = (
        "import sys\n"
        "from recsys_pipeline.cli import main\n"
        "try:\n    main(['--help'])\n"
        f"finally:\n    assert not (found := set({HEAVY}) & set(sys.modules)), found"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
