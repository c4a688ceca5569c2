"""What the documents name exists: targets, verbs, settings, files, presets, dependencies."""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import pytest

from recsys_pipeline import cli
from recsys_pipeline.adapters.sources.download import PRESETS
from recsys_pipeline.adapters.sources.files_config import load_files_config
from recsys_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OWN_FOLDERS = ("recsys_pipeline/", "recsys_pipeline_tests/", "conf/", "docs/", "core/", "defs/", "adapters/")


def code_in(text: str) -> list[str]:
    """Commands and names: text in back quotes, and indented or fenced lines."""
    blocks = re.findall(r"^(?: {4}[^\n]+|```.*?^```)$", text, flags=re.MULTILINE | re.DOTALL)
    return [*re.findall(r"`([^`\n]+)`", text), *blocks]


def named_in_code(pattern: str) -> set[str]:
    return {match for code in code_in(README) for match in re.findall(pattern, code)}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


class _CaughtError(Exception):
    pass


def recsys_verbs() -> dict[str, argparse.ArgumentParser]:
    """Verbs of the real parser, caught as it is about to parse."""
    with mock.patch.object(argparse.ArgumentParser, "parse_args", autospec=True, side_effect=_CaughtError) as parse:
        with pytest.raises(_CaughtError):
            cli.main([])
        parser = parse.call_args.args[0]
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def test_every_make_target_named_exists():
    named = named_in_code(r"\bmake ([a-z-]+)")
    assert named >= {"demo", "ui", "test", "check"}
    assert named <= make_targets()


def test_every_make_target_is_named():
    assert make_targets() == named_in_code(r"\bmake ([a-z-]+)")


def test_every_recsys_verb_named_exists_and_the_other_way_round():
    assert named_in_code(r"(?<![\w./-])recsys ([a-z-]+)") == set(recsys_verbs())


def test_how_a_shell_finds_the_commands_is_said_once_and_first():
    """By activating what `make install` makes; then all documents may name commands plainly."""
    activate = ". .venv/bin/activate"
    assert README.count(activate) == 1
    assert (
        README.index("make demo")
        < README.index(activate)
        < min(m.start() for m in re.finditer(r"(?<!`)\brecsys [a-z]", README))
    )
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"\.venv/bin/(recsys|wandb|dagster|dg)\b", text), document.name


def test_after_activation_a_shell_finds_every_command_of_the_documents(tmp_path: Path):
    """The real script of a real virtual environment, with the programs that installing puts into it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    commands = ("recsys", "wandb")
    scripts = {point.name for point in entry_points(group="console_scripts")}
    assert set(commands) <= scripts
    for name in commands:
        script = tmp_path / ".venv" / "bin" / name
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
    asked = ["sh", "-c", ". .venv/bin/activate; command -v recsys; command -v wandb"]
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(tmp_path / ".venv" / "bin" / name) for name in commands]


def test_recsys_commands_in_blocks_parse():
    lines = re.findall(r"^ {4}recsys (.+)$", README, flags=re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        verb, *arguments = line.split()
        try:
            recsys_verbs()[verb].parse_args(arguments)
        except SystemExit:
            pytest.fail(f"README's command does not parse: recsys {line}")


def test_fields_that_commands_set_exist_in_the_launchpad():
    """In a process of its own, because definitions belong to one source."""
    fields = sorted(named_in_code(r"--set ([\w/]+\.\w+)="))
    assert len(fields) >= 3
    script = (
        "import sys; from recsys_pipeline.definitions import defs\n"
        "jobs = [defs.resolve_job_def(name) for name in ('batch_daily', 'sweep_weekly')]\n"
        "ops = {node.name: node.definition.config_schema.config_type.fields\n"
        "       for job in jobs for node in job.graph.nodes\n"
        "       if hasattr(node.definition.config_schema.config_type, 'fields')}\n"
        "for field in sys.argv[1:]:\n"
        "    op, _, name = field.replace('/', '__').partition('.')\n"
        "    shown = ops[op]['config'].config_type.fields if 'config' in ops[op] else ops[op]\n"
        "    assert name in shown, f'{field}: there are {sorted(shown)}'\n"
    )
    environment = {**os.environ, "RECSYS_SOURCE": "simulator", "RECSYS_SIZE": "tiny"}
    ran = subprocess.run([sys.executable, "-c", script, *fields], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(document: Path):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert not missing, f"{document.name} links to {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_path_named_exists(document: Path):
    """Paths in code that begin with a folder of ours; `core/`, `defs/` and `adapters/` stand inside the package."""
    words = {word for code in code_in(document.read_text(encoding="utf-8")) for word in re.findall(r"[\w./-]+", code)}
    paths = {word for word in words if word.startswith(OWN_FOLDERS) and "my-shop" not in word}
    missing = [path for path in paths if not ((ROOT / path).exists() or (ROOT / "recsys_pipeline" / path).exists())]
    assert not missing, f"{document.name} names {missing}"


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "make test" in script
    assert "make check" in script
    assert "this and `make check` are what CI runs" in README


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.match(r"[\w-]+", line)[0] for group in groups for line in group}  # pyright: ignore[reportOptionalSubscript] (every line begins with a name)
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text(encoding="utf-8")
    explained = {name.split("[")[0] for name in re.findall(r"^\| (\w[\w\[\]-]*) \| \S", page, flags=re.MULTILINE)}
    explained -= {"package"}
    assert declared == explained


def test_env_example_documents_every_setting():
    named = set(re.findall(r"\bRECSYS_[A-Z_]+\b", README))
    known = {f"RECSYS_{name.upper()}" for name in Settings.model_fields}
    documented = set(re.findall(r"\bRECSYS_[A-Z_]+\b", EXAMPLE))
    assert known <= named, "README leaves out settings"
    assert named - {"RECSYS_TEST_DATA"} == documented, "README and .env.example name different variables"
    assert documented == known | {"RECSYS_DATA_DIR"}, ".env.example invents or lacks settings"


@pytest.mark.parametrize("text", [README, EXAMPLE], ids=["README.md", ".env.example"])
def test_download_presets_are_the_real_ones(text: str):
    named = set(re.findall(r"\b(?:ml|movielens)-[\w-]*[\w]|\bmovietweetings\b(?!-)", text.replace("ml-100k.toml", "")))
    assert named == set(PRESETS)


def test_example_of_a_files_source_is_valid(tmp_path: Path):
    examples = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "shop.toml").write_text(examples[0], encoding="utf-8")
    config = load_files_config(tmp_path / "shop.toml", {"SHOP_DATA": str(tmp_path)})
    assert (config.name, config.root) == ("my-shop", tmp_path)


def test_readme_is_short():
    assert len(README.splitlines()) < 220
