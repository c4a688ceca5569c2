"""Vectors of a whole catalogue, embedded shard by shard: an export that is killed goes on with the next shard."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.neighbors.vectors import VectorTable

SHARD_ROWS = 4096
"""A multiple of the towers' batch; some seconds of work, and 1 MiB at 64 dimensions."""

Embed = Callable[[slice], Float32[np.ndarray, "n dim"]]
"""The vectors of some rows."""


def export_vectors(ids: list[str], embed: Embed, shards: Path, shard_rows: int = SHARD_ROWS) -> VectorTable:
    """The vectors of all rows, each shard of which is kept in the folder `shards` as soon as it is there.

    Shards that are found there are not embedded again, so the folder must be of one model and one set of images; one
    that is torn or names other ids is made anew. At no time are there more images in memory than `embed` asks for
    within one shard. Delete the folder when the table is stored.
    """
    shards.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, max(len(ids), 1), shard_rows):
        rows = slice(start, min(start + shard_rows, len(ids)))
        path = shards / f"{start:09d}"
        found = _read(path, ids[rows])
        if found is None:
            found = VectorTable(ids[rows], embed(rows))
            _write(found, path)
        parts.append(found.vectors)
    return VectorTable(ids, np.concatenate(parts))


def _read(path: Path, ids: list[str]) -> VectorTable | None:
    if not path.exists():
        return None
    try:
        table = VectorTable.load(path)
    except ArtifactError:
        return None
    return table if table.ids == ids else None


def _write(table: VectorTable, path: Path) -> None:
    """Under another name first, so that a shard that has its name is whole."""
    unfinished = path.with_suffix(".part")
    for old in (unfinished, path):
        shutil.rmtree(old, ignore_errors=True)
    table.save(unfinished)
    unfinished.rename(path)
