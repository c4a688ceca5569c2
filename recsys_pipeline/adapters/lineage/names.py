"""What people type for an artifact, and which one they mean."""

import difflib
from collections.abc import Collection, Iterable

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef

SHORT = 12
"""Characters of a digest that messages show; with fewer than 4 typed, nothing is searched."""
MIN_TYPED = 4
LISTED = 12
"""Names that a message lists at most."""


def find_artifact(name: str, there: Collection[ArtifactRef], current: Collection[ArtifactRef]) -> ArtifactRef:
    """The one artifact of `there` that `name` means; `current` are those that their partitions point to.

    Raises `ArtifactError`, listing what there is, where none or several are meant.
    """
    key, _, rest = name.partition("@")
    if "/" not in key:
        return _by_digest(name, there)
    partition, _, digest = rest.partition("@")
    of_key = [ref for ref in there if ref.key == key]
    if not of_key:
        raise ArtifactError(f"no artifact is named {key}{_nearest(key, there)}")
    partition = partition or _newest(of_key, current)
    of_partition = [ref for ref in of_key if ref.partition == partition]
    if not of_partition:
        days = sorted({ref.partition for ref in of_key}, reverse=True)
        raise ArtifactError(f"{key} has no artifact for {partition}: it has {_listed(days)}")
    if digest:
        return _only([ref for ref in of_partition if ref.digest.startswith(digest)], name, of_partition)
    pointed = [ref for ref in of_partition if ref in current]
    return _only(pointed or of_partition, name, of_partition)


def short_name(ref: ArtifactRef) -> str:
    """An artifact as messages name it, in the form that `find_artifact` takes."""
    return f"{ref.key}@{ref.partition}@{ref.digest[:SHORT]}"


def _by_digest(digest: str, there: Collection[ArtifactRef]) -> ArtifactRef:
    if len(digest) < MIN_TYPED:
        raise ArtifactError(f"{digest!r} is too short for a digest: give {MIN_TYPED} characters or more, or a key")
    found = [ref for ref in there if ref.digest.startswith(digest.lower())]
    if not found:
        keys = sorted({ref.key for ref in there})
        raise ArtifactError(f"no artifact has a digest that starts with {digest!r}; the store has {_listed(keys)}")
    return _only(found, digest, found)


def _only(found: list[ArtifactRef], name: str, near: list[ArtifactRef]) -> ArtifactRef:
    if len(found) == 1:
        return found[0]
    names = sorted(map(short_name, found or near))
    verdict = f"could be any of {len(found)}" if found else "is not there"
    raise ArtifactError(f"{name} {verdict}: {_listed(names)}")


def _newest(of_key: list[ArtifactRef], current: Collection[ArtifactRef]) -> str:
    return max(ref.partition for ref in [ref for ref in of_key if ref in current] or of_key)


def _nearest(key: str, there: Iterable[ArtifactRef]) -> str:
    keys = sorted({ref.key for ref in there})
    if not keys:
        return ": the store is empty"
    close = difflib.get_close_matches(key, keys, n=1)
    return f" (is it {close[0]}?): the store has {_listed(keys)}" if close else f": the store has {_listed(keys)}"


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more:,} more" if more > 0 else "")
