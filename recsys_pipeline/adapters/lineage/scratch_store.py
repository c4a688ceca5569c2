"""A store beside the real one that points to what an artifact was made from, so that it can be made again as it was."""

from dataclasses import dataclass
from pathlib import Path

from recsys_pipeline.adapters.intake.ingestion import KEY as INTERACTIONS
from recsys_pipeline.adapters.lineage.graph import LineageGraph, Version
from recsys_pipeline.adapters.lineage.makings import meant
from recsys_pipeline.adapters.serving.releases import DECISION, RELEASE, pretend_promoted
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, ArtifactStore
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef

DATASET, FOLDS, MODELS, SPEED = "dataset/", "folds/", "models/", "speed/"


@dataclass(frozen=True)
class Inputs:
    """What became of the recorded inputs: those that are gone, and what is wrong with those that are there."""

    gone: tuple[ArtifactRef, ...]
    damaged: tuple[str, ...]


def lay_out_inputs(store: ArtifactStore, graph: LineageGraph, wanted: Version, root: Path) -> Inputs:
    """Make `root` a store in which the very versions that `wanted` was made from are the current ones.

    Folders are linked, not copied; nothing of the real store changes. Beside the recorded inputs stands what assets
    read through them: a snapshot names day files and id maps of other days by their path, and a report reads the
    snapshot of the report before it. Where two versions of one partition lie behind, the nearer is the current one.
    All of it is checked against its digests.
    """
    gone, damaged = [], []
    for ref in _behind(graph, wanted):
        version = meant(graph, ref, wanted)
        if version is None:
            gone.append(ref)
            continue
        try:
            artifact = store.version(ref.key, ref.partition, version.name)
            _link(root, ref, version.name, artifact.path)
            artifact.verify()
            for other in graph.nodes[ref].versions:  # a snapshot may name the folder of another with the same content
                if other is not version:
                    _link(root, ref, other.name, store.version(ref.key, ref.partition, other.name).path)
        except ArtifactError as error:
            damaged.append(str(error))
    promoted = _promoted_then(graph, wanted)
    if promoted:
        pretend_promoted(ArtifactStore(str(root), cache=root), promoted)
    return Inputs(tuple(gone), tuple(damaged))


def _promoted_then(graph: LineageGraph, wanted: Version) -> dict[str, tuple[str, str]]:
    """Digest and version, by day, of the releases that it stands on.

    A decision was made against those of the decisions that it read, an hour against the release among its inputs.
    """
    found = {}
    if wanted.manifest.recipe.key.startswith(SPEED):
        below = [ref for ref in wanted.manifest.recipe.inputs if ref.key == RELEASE]
        versions = {ref: meant(graph, ref, wanted) for ref in below}
        return {ref.partition: (ref.digest, version.name) for ref, version in versions.items() if version}
    for ref in wanted.manifest.recipe.inputs:
        version = meant(graph, ref, wanted) if ref.key == DECISION else None
        for release in version.manifest.recipe.inputs if version else ():
            made = meant(graph, release, wanted) if release.key == RELEASE else None
            if made and release.partition == ref.partition:
                found[ref.partition] = release.digest, made.name
    return found


def _behind(graph: LineageGraph, wanted: Version) -> list[ArtifactRef]:
    """The recorded inputs and what is read through them, nearest first; of a day's events also the days before.

    Those are no inputs, but ingestion would bring in every earlier day that is absent.
    """
    recipe = wanted.manifest.recipe
    queue = list(dict.fromkeys(recipe.inputs))
    if recipe.key == INTERACTIONS:
        queue += [
            ref for ref, node in graph.nodes.items()
            if node.is_current and ref.key == recipe.key and ref.partition < recipe.partition
        ]  # fmt: skip
    reached = set(queue)
    for ref in queue:
        version = meant(graph, ref, wanted)
        is_read_through = ref.key.startswith(DATASET) or ref.partition != recipe.partition
        behind = version.manifest.recipe.inputs if version and is_read_through else ()
        fresh = [other for other in behind if _is_read(ref, other) and other not in reached]
        queue += dict.fromkeys(fresh)
        reached |= set(fresh)
    return queue


def _is_read(ref: ArtifactRef, behind: ArtifactRef) -> bool:
    """Whether what an input was made from is read too: data, and what a model of another day was trained on."""
    is_of_chain = ref.key.startswith(MODELS) and (behind.key == ref.key or behind.key.startswith(FOLDS))
    return is_of_chain or behind.key.startswith(DATASET)


def _link(root: Path, ref: ArtifactRef, name: str, target: Path) -> None:
    folder = root / ref.key / ref.partition
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(target.absolute(), target_is_directory=True)
    pointer = folder / POINTER_NAME
    if not pointer.exists():
        pointer.write_text(name)
