"""The file of settings that last: Launchpad fields in the Launchpad's own shape, each with the line where it stands.

    ops:
      models__als:
        config:
          embedding_size: 32

What is wrong is gathered, not raised, so that all of it can be told at once, and each with its line.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from recsys_pipeline.core.configs import Yaml12
from recsys_pipeline.core.errors import SettingError

DEFAULT = Path("conf/settings.yaml")
OPS, CONFIG = "ops", "config"
OF_A_RUN = ("execution", "loggers", "resources")
"""What else the Launchpad shows: it belongs to a run, and is left out here, which is said."""


@dataclass(frozen=True)
class Given:
    """What the file says of one field."""

    value: Any
    line: int


@dataclass(frozen=True)
class SettingsFile:
    """A file of settings as it was read; an empty one where there is none."""

    path: Path = DEFAULT
    digest: str = ""
    """SHA-256 of its bytes; empty where there is no file."""
    fields: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)
    """By asset (`models/als`), its fields."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each asset stands."""
    left_out: tuple[str, ...] = ()
    """Other parts of a Launchpad's text, which are not taken."""
    problems: tuple[str, ...] = ()

    def place(self, line: int) -> str:
        """A line of it in words."""
        return f"{self.path}, line {line}"


def read_settings_file(path: Path | None) -> SettingsFile:
    """The file at `path`, read once in a process; where none is named, the one at `DEFAULT`, if there is one.

    Raises `SettingError` where a file that is named cannot be read.
    """
    chosen = path or DEFAULT
    return _read(chosen, chosen.absolute()) if path or chosen.exists() else SettingsFile()


@cache
def _read(path: Path, absolute: Path) -> SettingsFile:
    """`path` is how it is named, `absolute` where it lies."""
    try:
        content = absolute.read_bytes()
        return parse_settings(content.decode(), path, hashlib.sha256(content).hexdigest())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingError(f"{path} cannot be read ({why}): mend it, or set RECSYS_SETTINGS_FILE") from error


def parse_settings(text: str, path: Path, digest: str = "") -> SettingsFile:
    """The settings in a text, with what is wrong in it; a value that stands in a wrong place is not taken."""
    reader = _Reader(path)
    try:
        if (root := yaml.compose(text, Yaml12)) is not None:
            reader.read(root)
    except yaml.MarkedYAMLError as error:  # its own text quotes the line, which may be of a file of secrets
        mark = error.problem_mark or error.context_mark
        reader.say(mark.line + 1 if mark else 1, f"this is no YAML ({error.problem or 'it cannot be read'})")
    except (yaml.YAMLError, ValueError) as error:
        reader.say(1, f"this is no YAML ({type(error).__name__})")
    return SettingsFile(path, digest, reader.fields, reader.lines, tuple(reader.left_out), tuple(reader.problems))


class _Reader:
    """Walks the nodes of a text, since only they know their lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._constructor = Yaml12("")
        self.fields: dict[str, dict[str, Given]] = {}
        self.lines: dict[str, int] = {}
        self.left_out: list[str] = []
        self.problems: list[str] = []

    def say(self, line: int, what: str) -> None:
        """Note a problem with its place."""
        self.problems.append(f"{self._path}, line {line}: {what}")

    def read(self, root: yaml.Node) -> None:
        """The parts of a Launchpad's text."""
        for name, line, node in self._entries(root, f"the file, which begins with `{OPS}:`"):
            if name == OPS:
                for op, op_line, body in self._entries(node, f"`{OPS}`"):
                    self._read_op(op, op_line, body)
            elif name in OF_A_RUN:
                self.left_out.append(name)
            else:
                self.say(line, f"{name!r} is none of a Launchpad's parts: put fields below `{OPS}: <asset>: {CONFIG}:`")

    def _read_op(self, op: str, line: int, body: yaml.Node) -> None:
        key = op.replace("__", "/")
        if key in self.lines:
            self.say(line, f"{op} stands in line {self.lines[key]} already: put its fields together")
            return
        self.lines[key] = line
        for name, at, node in self._entries(body, f"`{op}`"):
            if name != CONFIG:
                self.say(at, f"{name!r} stands directly below {op}: put it below `{op}: {CONFIG}:`")
                continue
            self.fields[key] = {
                field: Given(self._constructor.construct_object(value, deep=True), field_line)
                for field, field_line, value in self._entries(node, f"`{op}: {CONFIG}`")
            }

    def _entries(self, node: yaml.Node, what: str) -> Iterator[tuple[str, int, yaml.Node]]:
        """Names of a mapping with their lines and values; nothing of an empty one, as `ops:` alone is."""
        if isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null"):
            return
        if not isinstance(node, yaml.MappingNode):
            self.say(node.start_mark.line + 1, f"{what} must hold names with values, and holds something else")
            return
        met: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in met:
                self.say(line, f"{name} stands in line {met[name]} already: leave one of them")
                continue
            met[name] = line
            yield name, line, value
