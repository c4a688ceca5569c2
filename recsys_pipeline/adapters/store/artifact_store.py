"""The artifact store: one immutable directory per version, and a pointer to the current one per partition.

    <root>/<stage>/<subject>/<partition>/<digest>-<recipe>/…files, manifest.json
    <root>/<stage>/<subject>/<partition>/current

A version is written to a staging folder, synced, and renamed; the pointer moves last. A process killed at any
moment leaves either the old state or the new one. On an object store, files are uploaded first, the manifest
after them and the pointer last.
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from recsys_pipeline.adapters.store import durable_files
from recsys_pipeline.adapters.store.artifacts import Artifact, Built, check_declared
from recsys_pipeline.adapters.store.homes import note_home
from recsys_pipeline.adapters.store.manifest import (
    MANIFEST_NAME,
    Manifest,
    Recipe,
    content_digest,
    describe_files,
)
from recsys_pipeline.adapters.store.processes import Processes
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef

POINTER_NAME = "current"

steps = logging.getLogger("recsys_pipeline.steps")


class ArtifactStore:
    """Reads and writes artifacts under an fsspec URL; a remote store is mirrored into `cache` as it is read."""

    def __init__(self, url: str, cache: Path, settings_digest: str = "") -> None:
        # A cached listing would hide what other processes wrote since.
        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.root = root.rstrip("/")
        self.cache = cache
        self.local_root = Path(self.root) if self.is_local else cache
        self.staging = (self.local_root if self.is_local else cache) / ".staging"
        self.processes = Processes(self.staging.with_name(".processes"))
        self.settings_digest = settings_digest
        """Of the file of settings under which this process writes; manifests say it."""

    @property
    def source(self) -> str:
        """Name of the source whose artifacts these are."""
        return self.root.rsplit("/", 1)[-1]

    # -- reading ------------------------------------------------------------------------------------------------

    def current(self, key: str, partition: str) -> Artifact | None:
        """The current version, or None where the partition was never materialized.

        Raises `ArtifactError` naming the pointer where there is no such version, or the manifest where that is damaged.
        """
        version = self.current_version(key, partition)
        if version is None:
            return None
        folder = self.local_root / key / partition
        if self.is_local and not (version and (folder / version).is_dir()):
            raise ArtifactError(
                f"{folder / POINTER_NAME} points to {version}, which is gone: materialize {key} {partition} again"
            )
        return self.version(key, partition, version)

    def current_version(self, key: str, partition: str) -> str | None:
        """Name of the current version, which may be damaged or gone."""
        pointer = self.read_file(f"{key}/{partition}/{POINTER_NAME}")
        return None if pointer is None else version_name(pointer)

    def read_file(self, relative: str) -> bytes | None:
        """A small file below the root, such as a pointer; None where there is none."""
        try:
            return self.fs.cat_file(f"{self.root}/{relative}")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get(self, key: str, partition: str) -> Artifact:
        """The current version; raises `ArtifactError` with the way out where there is none."""
        artifact = self.current(key, partition)
        if artifact is None:
            raise ArtifactError(f"{key} has no artifact for {partition}: materialize that partition first")
        return artifact

    def version(self, key: str, partition: str, version: str) -> Artifact:
        """One named version, fetched to the local disk where the store is remote."""
        return check_declared(self.listed(key, partition, version))

    def listed(self, key: str, partition: str, version: str) -> Artifact:
        """The same, of a version that another artifact lists as part of itself, which stands for it in recipes."""
        relative = f"{key}/{partition}/{version}"
        path = self.local_root / relative
        gone = ArtifactError(f"{self.root}/{relative} is gone: materialize {key} {partition} again")
        if not self.is_local and not (path / MANIFEST_NAME).exists():
            with self.staged() as staged:
                try:
                    self.fs.get(f"{self.root}/{relative}/", f"{staged}/", recursive=True)
                except FileNotFoundError as error:
                    raise gone from error
                if not (staged / MANIFEST_NAME).is_file():  # it is just being deleted, or uploaded
                    raise gone
                self._move(staged, path)
        if not path.is_dir():
            raise gone
        return Artifact(path, Manifest.read(path / MANIFEST_NAME))

    def find(self, ref: ArtifactRef) -> Artifact | None:
        """The version that a manifest names, current or not; None where none with this content is left.

        Of several, made by different recipes, the current one, else the first by name.
        """
        folder = f"{self.root}/{ref.key}/{ref.partition}"
        if not self.fs.exists(folder):
            return None
        names = sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in self.fs.ls(folder, detail=False))
        current = self.current_version(ref.key, ref.partition)
        same = [name for name in names if name.startswith(f"{ref.digest[:16]}-")]
        for name in sorted(same, key=lambda one: one != current):
            found = self.version(ref.key, ref.partition, name)
            if found.manifest.digest == ref.digest:
                return found
        return None

    def is_there(self, key: str, partition: str) -> bool:
        """Whether there is a current version, its folder included: not where a person deleted it, as damaged."""
        try:
            return self.current(key, partition) is not None
        except ArtifactError:
            return False

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
        """The version that came from this very recipe, made current where it is not, or None where there is none.

        An experiment takes the place of a day's own artifact only until that is asked for again. What is damaged counts
        as absent, with a warning; to know costs reading it, once in a process: making a partition again is the way out
        that every error names, so what is damaged must not pass for up to date.
        """
        try:
            existing = self.current(recipe.key, recipe.partition)
            if existing is None or existing.manifest.recipe.digest() != recipe.digest():
                existing = self._earlier(recipe)
            if existing is None:
                return None
            existing.verify(anew=False)
        except ArtifactError as error:
            steps.warning("  %s", error)
            return None
        if existing.path.name != self.current_version(recipe.key, recipe.partition):
            self._point(recipe, existing.path.name)
        return Artifact(existing.path, existing.manifest, reused=True)

    def _earlier(self, recipe: Recipe) -> Artifact | None:
        """The newest version of this very recipe, of those that are not current."""
        base, ending = f"{self.root}/{recipe.key}/{recipe.partition}", f"-{recipe.digest()[:8]}"
        entries = self.fs.ls(base, detail=False) if self.fs.exists(base) else []
        names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries]
        found = [self.version(recipe.key, recipe.partition, name) for name in names if name.endswith(ending)]
        same = [one for one in found if one.manifest.recipe.digest() == recipe.digest()]
        return max(same, key=lambda one: (one.manifest.created_at, one.path.name), default=None)

    def build(
        self, recipe: Recipe, build: Callable[[Path], Built], *, run_id: str = "",
        origins: Mapping[str, str] | None = None,
    ) -> Artifact:  # fmt: skip
        """What `build(directory)` writes becomes the current version; if it fails, nothing changes.

        `origins` say where the values of the recipe's config are from.
        """
        started = time.monotonic()
        with self.staged() as staged:
            built = build(staged)
            seconds = time.monotonic() - started
            return self.commit(staged, recipe, built, seconds=seconds, run_id=run_id, origins=origins)

    def commit(
        self, staged: Path, recipe: Recipe, built: Built, *, seconds: float, run_id: str = "",
        origins: Mapping[str, str] | None = None,
    ) -> Artifact:  # fmt: skip
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
            settings_digest=self.settings_digest,
            origins=dict(origins or {}),
        )
        manifest.write(staged)
        relative = f"{recipe.key}/{recipe.partition}/{manifest.version}"
        path = self.local_root / relative
        if path.exists() and not _is_intact(path):  # a damaged copy of the same content from the same recipe
            path.rename(self.staging / f"{self.processes.new_name()}-damaged")
        was_there = path.exists()
        self._move(staged, path)
        if not self.is_local:
            for name in [*files, MANIFEST_NAME]:
                self.fs.put_file(str(path / name), f"{self.root}/{relative}/{name}")
        self._point(recipe, manifest.version)
        note_home(self.fs, self.root, self.cache)
        kept = Manifest.read(path / MANIFEST_NAME)  # a version that was there before stays as it was
        return Artifact(path, kept, seconds=manifest.seconds, was_there=was_there)

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """A fresh folder on the store's own disk, gone afterwards; those that dead processes left behind go too."""
        self.staging.mkdir(parents=True, exist_ok=True)
        for left_over in self.staging.iterdir():
            if self.processes.is_abandoned(left_over.name, left_over):
                durable_files.remove(left_over)
        self.processes.forget_killed()
        folder = self.staging / self.processes.new_name()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _move(self, staged: Path, path: Path) -> None:
        """Put a folder in its place; one that is there already has the same content, from an earlier or a rival run."""
        durable_files.sync_all(staged)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        durable_files.sync(path.parent)

    def _point(self, recipe: Recipe, version: str) -> None:
        self.write_file(f"{recipe.key}/{recipe.partition}/{POINTER_NAME}", version.encode())

    def write_file(self, relative: str, content: bytes) -> None:
        """Put a small file below the root in place of what is there: at any moment it is the old one or the new."""
        if not self.is_local:
            self.fs.pipe_file(f"{self.root}/{relative}", content)
            return
        path = self.local_root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        self.staging.mkdir(parents=True, exist_ok=True)
        durable_files.replace_file(path, content, self.staging / self.processes.new_name())


def version_name(pointer: bytes) -> str:
    """What a pointer says; a byte that is damaged names no version, and is shown as it is."""
    return pointer.decode(errors="backslashreplace").strip()


def _is_intact(path: Path) -> bool:
    try:
        Artifact(path, Manifest.read(path / MANIFEST_NAME)).verify()
    except ArtifactError:
        return False
    return True
