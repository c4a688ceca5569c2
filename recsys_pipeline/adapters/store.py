"""The artifact store: one immutable directory per version, and a pointer to the current one per partition.

    <root>/<stage>/<subject>/<partition>/<digest>-<recipe>/…files, manifest.json
    <root>/<stage>/<subject>/<partition>/current

A version is written to a staging folder, synced, and renamed; the pointer moves last. A process killed at any
moment leaves either the old state or the new one. On an object store, files are uploaded first, the manifest
after them and the pointer last.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from recsys_pipeline.adapters.manifest import (
    MANIFEST_NAME,
    Manifest,
    Recipe,
    content_digest,
    describe_files,
    file_digest,
)
from recsys_pipeline.adapters.processes import is_abandoned, process_name
from recsys_pipeline.core.errors import ArtifactError

POINTER_NAME = "current"


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

    def has_all_files(self) -> bool:
        """Whether every file is there in its recorded size: finds what is missing or cut, without reading it."""
        paths = {self.path / name: entry["bytes"] for name, entry in self.manifest.files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def verify(self, anew: bool = True) -> None:
        """Compare every file with its recorded digest; raises `ArtifactError` naming the first that differs.

        With `anew=False` a file that this process has compared before, and that was not written since, is passed over.
        """
        for name, entry in self.manifest.files.items():
            path = self.path / name
            if not path.is_file() or (file_digest if anew else _digest_once)(path) != entry["sha256"]:
                raise ArtifactError(f"{path} is missing or corrupt: delete {self.path} and materialize again")


def _digest_once(path: Path) -> str:
    stat = path.stat()
    return _known_digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=65_536)
def _known_digest(path: Path, size: int, mtime_ns: int, inode: int) -> str:  # noqa: ARG001 - they tell versions of a file apart
    return file_digest(path)


class ArtifactStore:
    """Reads and writes artifacts under an fsspec URL; a remote store is mirrored into `cache` as it is read."""

    def __init__(self, url: str, cache: Path) -> None:
        # A cached listing would hide what other processes wrote since.
        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.root = root.rstrip("/")
        self.local_root = Path(self.root) if self.is_local else cache
        self.staging = (self.local_root if self.is_local else cache) / ".staging"

    @property
    def source(self) -> str:
        """Name of the source whose artifacts these are."""
        return self.root.rsplit("/", 1)[-1]

    # -- reading ------------------------------------------------------------------------------------------------

    def current(self, key: str, partition: str) -> Artifact | None:
        """The current version, or None where the partition was never materialized."""
        version = self.current_version(key, partition)
        return None if version is None else self.version(key, partition, version)

    def current_version(self, key: str, partition: str) -> str | None:
        """Name of the current version, which may be damaged or gone."""
        pointer = self.read_file(f"{key}/{partition}/{POINTER_NAME}")
        return None if pointer is None else pointer.decode().strip()

    def read_file(self, relative: str) -> bytes | None:
        """A small file below the root, such as a pointer; None where there is none."""
        try:
            return self.fs.cat_file(f"{self.root}/{relative}")
        except FileNotFoundError:
            return None

    def get(self, key: str, partition: str) -> Artifact:
        """The current version; raises `ArtifactError` with the way out where there is none."""
        artifact = self.current(key, partition)
        if artifact is None:
            raise ArtifactError(f"{key} has no artifact for {partition}: materialize that partition first")
        return artifact

    def version(self, key: str, partition: str, version: str) -> Artifact:
        """One named version, fetched to the local disk where the store is remote."""
        relative = f"{key}/{partition}/{version}"
        path = self.local_root / relative
        if not self.is_local and not (path / MANIFEST_NAME).exists():
            with self.staged() as staged:
                try:
                    self.fs.get(f"{self.root}/{relative}/", f"{staged}/", recursive=True)
                except FileNotFoundError as error:
                    raise ArtifactError(f"{self.root}/{relative} is gone: materialize {partition} again") from error
                self._move(staged, path)
        return Artifact(path, Manifest.read(path / MANIFEST_NAME))

    def fetch(self, relative: str) -> None:
        """Bring the version that holds a file, named by its path below the root, to the local disk."""
        *key, partition, version, _ = relative.split("/")
        self.version("/".join(key), partition, version)

    def partitions(self, key: str) -> list[str]:
        """All partitions that have a current version, in order."""
        base = f"{self.root}/{key}"
        if not self.fs.exists(base):
            return []
        names = (entry.rstrip("/").rsplit("/", 1)[-1] for entry in self.fs.ls(base, detail=False))
        return sorted(name for name in names if self.fs.exists(f"{base}/{name}/{POINTER_NAME}"))

    def latest(self, key: str, *, before: str) -> Artifact | None:
        """The newest partition before the given one; partition keys sort as dates do."""
        names = [name for name in self.partitions(key) if name < before]
        return self.get(key, names[-1]) if names else None

    # -- writing ------------------------------------------------------------------------------------------------

    def reusable(self, recipe: Recipe) -> Artifact | None:
        """The current version if it came from this very recipe and is whole (by its files' sizes), else None."""
        try:
            existing = self.current(recipe.key, recipe.partition)
        except ArtifactError:  # what is broken or gone is made again
            return None
        if existing is None or existing.manifest.recipe.digest() != recipe.digest() or not existing.has_all_files():
            return None
        return Artifact(existing.path, existing.manifest, reused=True)

    def build(self, recipe: Recipe, build: Callable[[Path], Built], *, run_id: str = "") -> Artifact:
        """What `build(directory)` writes becomes the current version; if it fails, nothing changes."""
        started = time.monotonic()
        with self.staged() as staged:
            built = build(staged)
            return self.commit(staged, recipe, built, seconds=time.monotonic() - started, run_id=run_id)

    def commit(self, staged: Path, recipe: Recipe, built: Built, *, seconds: float, run_id: str = "") -> Artifact:
        """Turn a finished folder into the current version of its partition."""
        files = describe_files(staged)
        manifest = Manifest(
            recipe=recipe,
            digest=built.digest or content_digest(files),
            files=files,
            metrics=built.metrics,
            seconds=round(seconds, 3),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            run_id=run_id,
        )
        manifest.write(staged)
        relative = f"{recipe.key}/{recipe.partition}/{manifest.version}"
        path = self.local_root / relative
        if path.exists() and not _is_intact(path):  # a damaged copy of the same content from the same recipe
            path.rename(self.staging / f"{process_name()}-damaged")
        self._move(staged, path)
        if not self.is_local:
            for name in [*files, MANIFEST_NAME]:
                self.fs.put_file(str(path / name), f"{self.root}/{relative}/{name}")
        self._point(recipe, manifest.version)
        return Artifact(path, manifest)

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """A fresh folder on the store's own disk, gone afterwards; those that dead processes left behind go too."""
        self.staging.mkdir(parents=True, exist_ok=True)
        for left_over in self.staging.iterdir():
            if is_abandoned(left_over.name, left_over):
                shutil.rmtree(left_over, ignore_errors=True)
        folder = self.staging / process_name()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _move(self, staged: Path, path: Path) -> None:
        """Put a folder in its place; one that is there already has the same content, from an earlier or a rival run."""
        for file in _files_and_folders(staged):
            _sync(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        _sync(path.parent)

    def _point(self, recipe: Recipe, version: str) -> None:
        self.write_file(f"{recipe.key}/{recipe.partition}/{POINTER_NAME}", version.encode())

    def write_file(self, relative: str, content: bytes) -> None:
        """Put a small file below the root in place of what is there: at any moment it is the old one or the new."""
        if not self.is_local:
            self.fs.pipe_file(f"{self.root}/{relative}", content)
            return
        path = self.local_root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}-{process_name()}"
        temporary.write_bytes(content)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)


@dataclass(frozen=True)
class SourceStores:
    """The stores below one URL, one per source: sources never share artifacts, as their partitions mean other data."""

    url: str
    cache: Path

    def __call__(self, source: str) -> ArtifactStore:
        """The store of a source."""
        return ArtifactStore(f"{self.url}/{source}", cache=self.cache / source)

    def sources(self) -> list[str]:
        """Names of the sources that have a store."""
        fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        if not fs.exists(root):
            return []
        folders = [entry["name"] for entry in fs.ls(root, detail=True) if entry["type"] == "directory"]
        names = [folder.rstrip("/").rsplit("/", 1)[-1] for folder in folders]
        return sorted(name for name in names if not name.startswith("."))


def _files_and_folders(root: Path) -> Iterator[Path]:
    yield from root.rglob("*")
    yield root


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_intact(path: Path) -> bool:
    try:
        Artifact(path, Manifest.read(path / MANIFEST_NAME)).verify()
    except ArtifactError:
        return False
    return True
