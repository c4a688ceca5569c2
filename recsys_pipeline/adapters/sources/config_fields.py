"""What the TOMLs of sources have in common: fields, how a file is read, and how its mistakes are named."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from recsys_pipeline.core.errors import SettingError

NO_TIMES = (
    ": days are told by times; without them `recsys evaluate` can judge the data, by protocols that leave some out"
)
KINDS = ("table", "images", "stl")
"""Names of the kinds of a section, which pydantic puts into the place of an error and the TOML does not have."""

MORE = "more_interactions"
"""Where the second and later tables of `[[interactions]]` stand."""

Column = Annotated[int, Field(strict=True, ge=1)] | Annotated[str, Field(min_length=1)]
"""A header name, or a 1-based position where the file has no header."""


def _below_root(path: str) -> str:
    parts = Path(path).parts
    if Path(path).is_absolute() or ".." in parts:
        raise ValueError(f"{path!r} must be relative and below root: set root to a folder that holds the files")
    if not parts or "\0" in path:
        raise ValueError(f"{path!r} names no file below root")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"{path!r}: ** stands for folders, alone between slashes, as in **/events.csv")
    return path


def _text_encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError(f"{name!r} is no encoding of text, such as utf-8, latin-1, cp1252 or utf-16") from error
    return name


Encoding = Annotated[str, AfterValidator(_text_encoding)]
"""A name that Python knows for an encoding of text."""
PathBelowRoot = Annotated[str, AfterValidator(_below_root)]


class Strict(BaseModel):
    """A section whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Config = TypeVar("Config", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The document in a source's TOML; raises `SettingError` naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"cannot read {path}: {error.strerror}; check RECSYS_SOURCE_CONFIG") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8 (byte {error.start + 1}): TOML is; save it again as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise SettingError(f"{path} is nested too deeply to be read as TOML") from error


def expand(text: str, path: Path, key: str, environment: Mapping[str, str] | None = None) -> str:
    """Fill `${NAME}` and `${NAME:-default}` in the value of `key` from `environment` (default: the process's)."""
    known = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if known.get(name):
            return known[name]
        if default is None:
            raise SettingError(f"{path}: {key} needs the environment variable {name}: set it")
        return default

    return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, text)


def validated(
    config: type[Config], document: Mapping[str, Any], path: Path, sections: Mapping[tuple[str, ...], type[BaseModel]]
) -> Config:
    """The document as a config; raises `SettingError` naming the keys, and the valid ones of a section in `sections`.

    What stands in the document is never shown: it may be secret.
    """
    try:
        return config.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_explain(found, sections) for found in error.errors())
        raise SettingError(f"{path}: {problems}") from None


def _explain(found: ErrorDetails, sections: Mapping[tuple[str, ...], type[BaseModel]]) -> str:
    """One line for one of pydantic's errors: the key as it stands in the TOML, and the valid keys."""
    told = tuple(str(part) for part in found["loc"])
    place = tuple(part for part in told if not (told[:1] == (MORE,) and part.isdecimal()))
    # A kind is a part of the place only where it names a section: `table` may be a key too.
    key = ".".join(part for at, part in enumerate(place) if part not in KINDS or place[: at + 1] not in sections)
    if told[:1] == (MORE,):  # as it stands in the TOML: the second table of an array is the first of the rest
        key = key.replace(MORE, f"interactions[{int(told[1]) + 2}]" if told[1:] else "interactions")
    section = sections.get(place[:-1])
    if found["type"] == "extra_forbidden" and section is not None:
        return f"unknown key {key}; valid keys here are {', '.join(section.model_fields)}"
    hint = NO_TIMES if found["type"] == "missing" and place[1:] == ("columns", "timestamp") else ""
    return f"{key or 'the file'}: {found['msg'].removeprefix('Value error, ')}{hint}"
