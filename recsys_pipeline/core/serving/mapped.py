"""Arrays of a safetensors file as views of the file itself: opening them costs nothing, and only what is used is read.

safetensors' own reader copies whole tensors; its format is eight bytes with the length of a JSON header, the header,
and the tensors one after the other (https://github.com/huggingface/safetensors, section "Format").
"""

import json
import mmap
from pathlib import Path

import numpy as np

from recsys_pipeline.core.errors import ArtifactError

DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64, "U64": np.uint64, "BOOL": np.bool_,
          "U8": np.uint8}  # fmt: skip


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of the file, read-only; pages come from the disk as they are touched.

    Raises `ArtifactError` where the file is missing or is no safetensors file with these types.
    """
    try:
        with path.open("rb") as stream:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _view(content, 8 + length, **entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} holds no readable arrays ({error}): materialize its artifact again") from error


def _view(content: mmap.mmap, start: int, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    kind = np.dtype(DTYPES[dtype])
    first, end = data_offsets
    count = int(np.prod(shape, dtype=np.int64))
    if count * kind.itemsize != end - first:
        raise ValueError(f"{count} values of {dtype} do not fill {end - first} bytes")
    return np.frombuffer(content, kind, count, start + first).reshape(shape)
