"""The manifest beside every artifact: the truth about its lineage, of which Dagster and W&B show views."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef

MANIFEST_NAME = "manifest.json"
CHECKSUM = "checksum"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what an artifact holds; two equal recipes need only one computation."""

    key: str
    partition: str
    inputs: tuple[ArtifactRef, ...]
    config: dict[str, Any]
    code_version: str
    libraries: dict[str, str]

    def digest(self) -> str:
        """Identifies the recipe; the artifact's own digest identifies what came out."""
        return hashlib.sha256(to_json(dataclasses.asdict(self)).encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """One artifact: its recipe, what came out, and how long it took."""

    recipe: Recipe
    digest: str
    files: dict[str, dict[str, Any]]
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    created_at: str = ""
    run_id: str = ""
    settings_digest: str = ""
    """Of the file of settings that was in force; empty where there was none. The recipe holds what it came to."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where each value of the recipe's config is from: a default, that file, a sweep's trial, or the run's own form."""

    @property
    def ref(self) -> ArtifactRef:
        """What downstream manifests record as their input."""
        return ArtifactRef(self.recipe.key, self.recipe.partition, self.digest)

    @property
    def version(self) -> str:
        """Directory name of this version: content first, recipe second, so that equal content may have two origins."""
        return f"{self.digest[:16]}-{self.recipe.digest()[:8]}"

    def write(self, directory: Path) -> None:
        """Write `manifest.json` into the artifact's directory, with a checksum."""
        (directory / MANIFEST_NAME).write_text(to_json(with_checksum(dataclasses.asdict(self)), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest file; raises `ArtifactError` naming the file when it is not one."""
        try:
            text = path.read_text()
        except (OSError, ValueError) as error:
            raise _no_manifest(path, error) from error
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str | bytes, where: Path | str) -> "Manifest":
        """The manifest in the text of a file; raises `ArtifactError` naming the file when it is none, or is damaged."""
        try:
            raw = without_checksum(json.loads(text))
            recipe = raw.pop("recipe")
            inputs = tuple(ArtifactRef(**ref) for ref in recipe.pop("inputs"))
            return cls(recipe=Recipe(inputs=inputs, **recipe), **raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _no_manifest(where, error) from error


def _no_manifest(where: Path | str, error: Exception) -> ArtifactError:
    *key, partition = PurePath("/", where).parts[-5:-2]
    return ArtifactError(f"{where} is no manifest ({error}): materialize {'/'.join(key)} {partition} again")


def with_checksum(document: dict[str, Any]) -> dict[str, Any]:
    """A document with a digest of itself, by which a changed byte is found when it is read."""
    as_read = json.loads(to_json(document))  # where keys were numbers, they are texts, in the order of texts
    return {**document, CHECKSUM: _own_digest(as_read)}


def without_checksum(document: dict[str, Any]) -> dict[str, Any]:
    """What was read, without its checksum; raises `ValueError` where that differs. Earlier documents have none."""
    content = {name: value for name, value in document.items() if name != CHECKSUM}
    if CHECKSUM in document and document[CHECKSUM] != _own_digest(content):
        raise ValueError("damaged: it is not what was written")
    return content


def _own_digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(to_json(document).encode()).hexdigest()


def to_json(value: Any, indent: int | None = None) -> str:
    """Canonical JSON: sorted keys, dates and paths as text, NumPy's numbers as numbers; `TypeError` for anything else.

    The text of a set or of an arbitrary object may differ from run to run, and with it the digest of a recipe.
    """
    return json.dumps(value, sort_keys=True, default=_plain, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, date | PurePath):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a manifest cannot hold {value!r} of type {type(value).__name__}: give it as text or numbers")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digest_once(path: Path) -> str:
    """The same; a file that this process has read before, and that was not written since, is not read again."""
    stat = path.stat()
    return _known_digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=65_536)
def _known_digest(path: Path, size: int, mtime_ns: int, inode: int) -> str:  # noqa: ARG001 - they tell versions of a file apart
    return file_digest(path)


def describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file below the directory, by relative path."""
    own = directory / MANIFEST_NAME
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != own)
    return {
        path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in files
    }


def content_digest(files: dict[str, dict[str, Any]]) -> str:
    """One digest for a set of files, from their names and contents."""
    return hashlib.sha256(to_json({name: entry["sha256"] for name, entry in files.items()}).encode()).hexdigest()
