"""Arrays in files: the one way in which this package writes safetensors, and the two in which it reads them.

safetensors' writer for NumPy (0.8.0) stores the memory behind an array as it lies, so that a transposed, sliced or
Fortran-ordered one comes back scrambled, without an error. Here every array is made contiguous first.

`load_arrays` copies, with a check of everything; `map_arrays` gives views of the file itself: opening them costs
nothing, and only what is used is read.
"""

import json
import mmap
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recsys_pipeline.core.errors import ArtifactError, DataError

STORED = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "C64": np.complex64,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "BOOL": np.bool_,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
}  # fmt: skip
"""Types of numbers that a safetensors file can hold and NumPy can read."""
_TYPES = frozenset(np.dtype(kind) for kind in STORED.values())
_RESERVED = "__metadata__"


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one safetensors file, which is there whole or not at all.

    Transposed, sliced, reversed, Fortran-ordered and big-endian arrays come back equal, in C order and of this
    machine's byte order. Equal arrays give equal bytes. Raises `DataError` for an array of another type than `STORED`
    (objects and texts, say), naming it.
    """
    plain = {name: _plain(path, name, array) for name, array in arrays.items()}
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        save_file(plain, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array that `save_arrays` wrote, in memory; raises `ArtifactError` where the file is missing or broken."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, KeyError, AttributeError, TypeError) as error:
        raise ArtifactError(f"{path} holds no readable arrays ({error}): materialize its artifact again") from error


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of the file, read-only; pages come from the disk as they are touched.

    The format is eight bytes with the length of a JSON header, the header, and the arrays one after the other
    (https://github.com/huggingface/safetensors, section "Format"). Raises `ArtifactError` where the file is missing or
    is no safetensors file of these types.
    """
    try:
        with path.open("rb") as stream:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header.pop(_RESERVED, None)
        return {name: _view(content, 8 + length, **entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} holds no readable arrays ({error}): materialize its artifact again") from error


def read_json(path: Path) -> Any:
    """A JSON document of an artifact; raises `ArtifactError` naming the file where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not readable ({error}): materialize the artifact again") from error


def _plain(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array in C order and native bytes; not `np.ascontiguousarray`, which gives a scalar an axis."""
    found = np.asarray(array)
    native = found.dtype.newbyteorder("=")
    if native not in _TYPES or name == _RESERVED:
        why = f"has type {found.dtype}" if name != _RESERVED else "has a name that the format keeps for itself"
        raise DataError(f"{path}: array {name!r} {why}: give numbers or booleans under another name")
    return np.asarray(found, native, order="C")


def _view(content: mmap.mmap, start: int, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    kind = np.dtype(STORED[dtype])
    first, end = data_offsets
    count = int(np.prod(shape, dtype=np.int64))
    if count * kind.itemsize != end - first:
        raise ValueError(f"{count} values of {dtype} do not fill {end - first} bytes")
    return np.frombuffer(content, kind, count, start + first).reshape(shape)
