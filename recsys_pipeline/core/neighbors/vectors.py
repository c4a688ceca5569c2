"""A table of named vectors: what a model exports and what an index is built from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from recsys_pipeline.core.errors import ArtifactError, ModelError
from recsys_pipeline.core.files import load_arrays, save_arrays

_VECTORS, _IDS = "vectors.safetensors", "ids.parquet"


@dataclass(frozen=True)
class VectorTable:
    """Vectors `[n, dim]` with one unique id per row, checked when made.

    Raises `ModelError` where ids repeat, counts differ or a number is not finite: such a table would send people
    the wrong item, or none.

    >>> VectorTable(["chair", "lamp"], np.eye(2, dtype=np.float32)).dim
    2
    """

    ids: list[str]
    vectors: Float32[np.ndarray, "n dim"]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.vectors):
            raise ModelError(f"{len(self.ids)} ids for {len(self.vectors)} vectors: export both from one id map")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            repeated = next(name for name in self.ids if name in seen or seen.add(name))
            raise ModelError(f"id {repeated!r} stands more than once in the vector table: ids must be unique")
        finite = np.isfinite(self.vectors).all(axis=1)
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            raise ModelError(f"the vector of {self.ids[bad]!r} (row {bad}) is not finite: the model did not converge")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return self.vectors.shape[1]

    def digest(self) -> str:
        """SHA-256 of ids and vectors that does not depend on the order of the rows."""
        digest = hashlib.sha256(str(self.vectors.shape).encode())
        for row in sorted(range(len(self)), key=self.ids.__getitem__):
            digest.update(f"{self.ids[row]}\0".encode() + self.vectors[row].tobytes())
        return digest.hexdigest()

    def save(self, directory: Path) -> None:
        """Write `vectors.safetensors` and `ids.parquet` (column `id`, same order)."""
        directory.mkdir(parents=True, exist_ok=True)
        save_arrays(directory / _VECTORS, {"vectors": self.vectors})
        pq.write_table(pa.table({"id": pa.array(self.ids, pa.string())}), directory / _IDS)

    @classmethod
    def load(cls, directory: Path) -> "VectorTable":
        """Read back what `save` wrote; raises `ArtifactError` where a file is missing or broken."""
        try:
            vectors = load_arrays(directory / _VECTORS)["vectors"]
            ids = pq.read_table(directory / _IDS, columns=["id"]).column("id").to_pylist()
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"no readable vector table in {directory}: {error}; materialize it again") from error
        return cls(ids, vectors)
