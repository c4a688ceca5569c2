"""How versions leave a store: pointer first, so that a kill at any moment leaves nothing that looks whole and is not.

On a local disk a folder is moved out of sight in one step. On an object store its manifest goes first, without which no
reader takes it for an artifact, and then its files; those of a collection or an upload that was killed stay behind, and
a later collection finds them.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME


class Place(NamedTuple):
    """Where a version of an artifact lies below the store's root."""

    key: str
    partition: str
    version: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True)
class Doomed:
    """A version that would go."""

    place: Place
    is_current: bool
    n_bytes: int
    left_before: datetime | None = None
    """Of files without a manifest: all of them were written before this."""


def delete(store: ArtifactStore, doomed: Iterable[Doomed]) -> int:
    """Delete versions, and give the number; another collection may be at the same."""
    count = 0
    for one in doomed:
        if one.left_before and not _is_left_over(store, one.place, one.left_before):
            continue  # a run has begun to upload that version again
        if one.is_current:
            _forget_pointer(store, one.place)
        if not store.is_local:
            _remove_remote(store, f"{store.root}/{one.place}")
        _remove_folder(store, store.local_root / str(one.place))
        count += 1
    return count


def left_over(store: ArtifactStore, before: datetime) -> Iterator[Doomed]:
    """Files on an object store that belong to no artifact, and are older than any run that may still be writing them.

    Costs one listing, and a question for each such file. A version that its partition points to is not among them: it
    has lost its manifest some other way, and is for people to look at.
    """
    if store.is_local:
        return
    sizes: dict[Place, int] = {}
    whole: set[Place] = set()
    for path, facts in store.fs.find(store.root, detail=True).items():
        parts = path.removeprefix(f"{store.root}/").split("/")
        if len(parts) < 5 or parts[0].startswith("."):
            continue
        place = Place("/".join(parts[:2]), parts[2], parts[3])
        sizes[place] = sizes.get(place, 0) + facts["size"]
        if parts[4:] == [MANIFEST_NAME]:
            whole.add(place)
    for place in sorted(sizes.keys() - whole):
        is_current = store.current_version(place.key, place.partition) == place.version
        if not is_current and _is_left_over(store, place, before):
            yield Doomed(place, is_current, sizes[place], before)


def _is_left_over(store: ArtifactStore, place: Place, before: datetime) -> bool:
    folder = f"{store.root}/{place}"
    paths = store.fs.find(folder)
    return f"{folder}/{MANIFEST_NAME}" not in paths and all(store.fs.modified(path) < before for path in paths)


def _forget_pointer(store: ArtifactStore, place: Place) -> None:
    """Unless a run has pointed the partition elsewhere meanwhile."""
    if store.current_version(place.key, place.partition) == place.version:
        with suppress(FileNotFoundError):  # another collection was faster
            store.fs.rm_file(f"{store.root}/{place.key}/{place.partition}/{POINTER_NAME}")


def _remove_remote(store: ArtifactStore, folder: str) -> None:
    with suppress(FileNotFoundError):  # what was left over has none, or another collection was faster
        store.fs.rm_file(f"{folder}/{MANIFEST_NAME}")
    with suppress(FileNotFoundError):
        store.fs.rm(folder, recursive=True)


def _remove_folder(store: ArtifactStore, folder: Path) -> None:
    store.staging.mkdir(parents=True, exist_ok=True)
    out_of_sight = store.staging / store.processes.new_name()
    try:
        folder.rename(out_of_sight)
    except FileNotFoundError:  # another collection was faster, or a remote store's copy was never fetched
        return
    shutil.rmtree(out_of_sight, ignore_errors=True)
    with suppress(OSError):  # the partition has other versions
        folder.parent.rmdir()
