"""Checkpoints of a training under way: saved whole or not at all, resumed to the bit (Orbax)."""

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

KEPT = 2
"""Checkpoints that stay: should the disk have lost part of the newest, there is the one before it."""


class Checkpoints:
    """Saves and restores one pytree of arrays per training step in a folder of its own.

    A checkpoint is written under a temporary name and renamed, so a process that is killed while it writes leaves the
    checkpoint before; what it had written is swept away as the folder is opened again.

    Use it as a context manager: leaving it releases Orbax's threads, also after an error.
    """

    def __init__(self, directory: Path) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.close()

    def newest(self, like: Any) -> tuple[int, Any] | None:
        """The newest checkpoint that can be read, as (step, state), or None where there is none.

        The state has the structure, shapes and types of `like`. One that cannot be read is deleted, with a warning.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return step, self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
            except Exception as error:  # noqa: BLE001 - files cut or gone made Orbax raise four types, this one too
                folder = self._manager.directory / str(step)
                warnings.warn(f"checkpoint {folder} cannot be read and is deleted: {error!r:.200}", stacklevel=2)
                self._manager.delete(step)
        return None

    def save(self, step: int, state: Any) -> None:
        """Write the state as of `step`; older ones go once this one is whole."""
        self._manager.save(step, args=ocp.args.StandardSave(state))


def name_of_training(facts: Any, arrays: Iterable[Any]) -> str:
    """A folder's name for the checkpoints of one training: another for any other facts (as JSON) or arrays."""
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
