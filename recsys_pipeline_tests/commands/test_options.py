"""The command line as a whole: verbs and modules belong together, and the parser costs nothing."""

import argparse
import dataclasses
import json
import pkgutil
import re
import subprocess
import sys

import pytest

from recsys_pipeline import commands
from recsys_pipeline.cli import main
from recsys_pipeline.commands.options import parser
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.models.ease import EaseConfig

OF_ALL = {"options", "screen"}
HEAVY = ("dagster", "jax", "wandb", "pyarrow", "numpy", "pandas", "duckdb")


def verbs() -> set[str]:
    found = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return set(found.choices)


def test_every_verb_has_its_module_and_every_module_its_verb():
    modules = {found.name for found in pkgutil.iter_modules(commands.__path__) if not found.ispkg} - OF_ALL
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


def test_every_verb_says_what_it_does_and_what_each_option_is():
    silent = []
    for name, verb in every_verb(parser()):
        assert verb.description, name
        silent += [f"{name} {action.dest}" for action in verb._actions if not action.help and not forms(action)]
    assert silent == []


def forms(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


def every_verb(found: argparse.ArgumentParser, name: str = "") -> list[tuple[str, argparse.ArgumentParser]]:
    choices = next((dict(action.choices or {}) for action in found._actions if forms(action)), {})
    below = [one for form, verb in choices.items() for one in every_verb(verb, f"{name} {form}".strip())]
    return [(name, found)] * bool(name) + below


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"recsys \d+\.\d+\.\d+, Python 3\.\d+\.\d+\n", capsys.readouterr().out)


def test_models_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:5] for line in shown.splitlines() if line[:1].isalpha()}
    assert rows["als"] == ["interactions", "yes", "yes", "yes"]
    assert rows["random"] == ["interactions", "yes", "–", "–"]
    assert rows["ease"][:2] == ["interactions", "–"]
    assert set(discover()) <= set(rows)
    assert "Two towers" in shown or "Shop the look" in shown, "of stl, what its own file says"


def test_fields_of_a_form_are_those_of_the_models_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fields", "models/ease"]) == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(EaseConfig):
        line = next(line for line in shown.splitlines() if line.startswith(field.name))
        assert json.dumps(field.default) in line
    assert main(["fields", "models/esae"]) == 1
    assert "similar are models/ease" in " ".join(capsys.readouterr().out.split())
    assert main(["fields"]) == 0
    assert "serving/release" in capsys.readouterr().out
