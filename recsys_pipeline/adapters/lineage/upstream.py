"""What an artifact was made from, on its own day: the very versions that its manifest names, current or not."""

from collections.abc import Collection

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Manifest


def upstream_of_the_day(
    store: ArtifactStore, manifest: Manifest, leave_out: Collection[str] = ()
) -> dict[str, Manifest]:
    """An artifact's manifest and those of all that went into it on its own day, by key; nearest first.

    Keys that begin with one of `leave_out` are not followed, nor what is gone, of which nothing can be said.
    """
    found, open_refs = {manifest.recipe.key: manifest}, list(manifest.recipe.inputs)
    while open_refs:
        ref = open_refs.pop(0)
        is_same_day = ref.partition == manifest.recipe.partition
        if ref.key in found or not is_same_day or ref.key.startswith(tuple(leave_out)):
            continue
        if (one := store.find(ref)) is not None:
            found[ref.key] = one.manifest
            open_refs += one.manifest.recipe.inputs
    return found
