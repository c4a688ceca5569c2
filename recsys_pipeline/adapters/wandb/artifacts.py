"""A stored artifact as Weights & Biases takes it: type, name, aliases, metadata, files or references to them."""

import json
import math
from typing import Any

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest, to_json
from recsys_pipeline.adapters.wandb.names import artifact_name, artifact_type, content_alias, partition_alias
from recsys_pipeline.adapters.wandb.outbox import Stored
from recsys_pipeline.core.errors import ArtifactError

COPY_LIMIT_BYTES = 50_000_000
"""Larger artifacts stay where they are and W&B gets references to their files."""
REMOTE_COPY_LIMIT_BYTES = 1_000_000
"""On an object store whoever reads W&B can reach the files too, so that only small ones are worth a second copy."""
LATEST = "latest"
METADATA_KEYS = 100
"""What W&B's client allows (`MAX_ARTIFACT_METADATA_KEYS`)."""


def to_wandb_artifact(store: ArtifactStore, stored: Stored) -> Any:
    """The version as a draft that can be logged; one that is gone or damaged becomes a note of that.

    Its manifest is always among the files, so that two recipes with one content are two versions in W&B too.
    """
    import wandb

    try:
        text = _manifest_text(store, stored)
        manifest = Manifest.parse(text, f"{store.root}/{_folder(stored)}/{MANIFEST_NAME}")
        size = sum(file["bytes"] for file in manifest.files.values())
        copied = size <= (COPY_LIMIT_BYTES if store.is_local else REMOTE_COPY_LIMIT_BYTES)
        if copied or store.is_local:
            artifact = store.version(stored.key, stored.partition, stored.version)
            if not artifact.has_all_files():
                raise ArtifactError(f"{artifact.path} lacks files: materialize {stored.key} {stored.partition} again")
    except ArtifactError as error:
        return note_of_absence(stored, str(error))
    entry = wandb.Artifact(artifact_name(stored), type=artifact_type(stored), metadata=_metadata(stored, manifest))
    with entry.new_file(MANIFEST_NAME, "xb") as stream:
        stream.write(text)
    for name, facts in manifest.files.items():
        path = store.local_root / _folder(stored) / name
        if copied:  # versions never change, so that W&B need not copy them before it sends them
            entry.add_file(str(path), name=name, policy="immutable", skip_cache=True)
        elif store.is_local:
            entry.add_reference(path.absolute().as_uri(), name=name)
        else:
            _add_remote(entry, f"{store.root}/{_folder(stored)}/{name}", store, name, facts)
    return entry


def _manifest_text(store: ArtifactStore, stored: Stored) -> bytes:
    try:
        return store.fs.cat_file(f"{store.root}/{_folder(stored)}/{MANIFEST_NAME}")
    except OSError as error:
        raise ArtifactError(f"{store.root}/{_folder(stored)} is gone: materialize it again") from error


def _folder(stored: Stored) -> str:
    return f"{stored.key}/{stored.partition}/{stored.version}"


def note_of_absence(stored: Stored, reason: str) -> Any:
    """Stands for an artifact that the store lacks, so that the edges to it are complete all the same."""
    import wandb

    metadata = {**_place(stored), "absent": reason}
    entry = wandb.Artifact(artifact_name(stored), type=artifact_type(stored), metadata=metadata)
    with entry.new_file("absent.json") as stream:
        stream.write(to_json(_place(stored)))
    return entry


def aliases_of(store: ArtifactStore, stored: Stored, newest: Stored | None) -> list[str]:
    """By which people and runs find a version; the partition and `latest` belong to what is current, in any order."""
    aliases = [content_alias(stored)]
    pointer = store.current_version(stored.key, stored.partition)
    if pointer is None or pointer == stored.version:
        aliases.append(partition_alias(stored.partition))
        if newest is None or stored.partition >= newest.partition:
            aliases.append(LATEST)
    return aliases


def newest_of(store: ArtifactStore, key: str) -> Stored | None:
    """The current version of the newest partition; of its digest, what the version's name tells."""
    partition = max(store.partitions(key), default=None)
    version = store.current_version(key, partition) if partition else None
    return Stored(store.source, key, partition, version.partition("-")[0], version) if partition and version else None


def _add_remote(entry: Any, place: str, store: ArtifactStore, name: str, facts: dict[str, Any]) -> None:
    """A reference for every scheme that fsspec knows, made without asking the store; its digest is that of the file."""
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.lib.paths import LogicalPath

    url = store.fs.unstrip_protocol(place)
    entry.manifest.add_entry(
        ArtifactManifestEntry(path=LogicalPath(name), digest=facts["sha256"], ref=url, size=facts["bytes"])
    )


def _metadata(stored: Stored, manifest: Manifest) -> dict[str, Any]:
    facts = {
        **_place(stored),
        "asset_key": stored.key,
        "dagster_run": manifest.run_id,
        "created_at": manifest.created_at,
        "seconds": manifest.seconds,
        "code_version": manifest.recipe.code_version,
        "inputs": [vars(ref) for ref in manifest.recipe.inputs],
    }
    metrics = {name: value for name, value in manifest.metrics.items() if name not in facts}
    room = METADATA_KEYS - len(facts) - 1
    kept = dict(list(metrics.items())[:room])
    more = {"metrics_left_out": len(metrics) - room} if len(metrics) > room else {}
    return facts | {name: _plain(value) for name, value in kept.items()} | more


def _place(stored: Stored) -> dict[str, Any]:
    return {"key": stored.key, "partition": stored.partition, "digest": stored.digest, "version": stored.version,
            "source": stored.source}  # fmt: skip


def _plain(value: Any) -> Any:
    """As JSON without NaN and infinities, which W&B's service refuses."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.loads(to_json(value)) if isinstance(value, dict | list | tuple) else value
