"""An artifact on the local disk, what a build function tells of one, and which of them a build may open."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.store.manifest import Manifest, file_digest, file_digest_once
from recsys_pipeline.core.errors import ArtifactError

HASHING_THREADS = 2


@dataclass(frozen=True)
class Built:
    """What a build function reports of the files that it wrote."""

    metrics: dict[str, Any]
    digest: str | None = None
    """A digest of the meaning (such as one that is free of row order), where that differs from the bytes."""


@dataclass(frozen=True)
class Artifact:
    """One readable version of an artifact on the local disk."""

    path: Path
    manifest: Manifest
    reused: bool = False
    seconds: float = field(default=0.0, compare=False)
    """What it took now: nothing where it was up to date. The manifest has what its first making took."""
    was_there: bool = field(default=False, compare=False)
    """Whether it was made now and came to a version that was there before: it was put back."""

    def has_all_files(self) -> bool:
        """Whether every file is there in its recorded size: finds what is missing or cut, without reading it."""
        paths = {self.path / name: entry["bytes"] for name, entry in self.manifest.files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def verify(self, anew: bool = True) -> None:
        """Compare every file with its recorded digest; raises `ArtifactError` naming the first that differs.

        With `anew=False` a file that this process has compared before, and that was not written since, is passed over.
        """
        digest = file_digest if anew else file_digest_once

        def is_intact(name: str) -> bool:
            return (self.path / name).is_file() and digest(self.path / name) == self.manifest.files[name]["sha256"]

        with ThreadPoolExecutor(HASHING_THREADS) as pool:  # hashing holds no lock of Python's
            found = list(pool.map(is_intact, self.manifest.files))
        for name, intact in zip(self.manifest.files, found, strict=True):
            if not intact:
                path, recipe = self.path / name, self.manifest.recipe
                raise ArtifactError(f"{path} is missing or corrupt: materialize {recipe.key} {recipe.partition} again")


_DECLARED: ContextVar[tuple[str, frozenset[Path]] | None] = ContextVar("declared", default=None)


@contextmanager
def only_declared(key: str, artifacts: Iterable[Artifact]) -> Iterator[None]:
    """While the body makes `key`, the store opens these artifacts alone; others raise `ArtifactError`.

    What is read and stands in no recipe lets what was made of it pass for up to date when it changes.
    """
    token = _DECLARED.set((key, frozenset(artifact.path for artifact in artifacts)))
    try:
        yield
    finally:
        _DECLARED.reset(token)


def check_declared(artifact: Artifact) -> Artifact:
    """The artifact, where what is made now may open it."""
    declared = _DECLARED.get()
    if declared is not None and artifact.path not in declared[1]:
        ref = artifact.manifest.ref
        raise ArtifactError(
            f"{declared[0]} reads {ref.key}@{ref.partition}, and does not declare it: add it to `reads`"
        )
    return artifact
