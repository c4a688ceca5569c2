"""Arrays come back from their file as they went in, however they lay in memory, and nothing else writes such files."""

import re
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import recsys_pipeline
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.files import load_arrays, map_arrays, save_arrays

GRID = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
LAYOUTS = {
    "transposed": GRID.transpose(2, 0, 1),
    "Fortran": np.asfortranarray(GRID),
    "strided": GRID[:, ::2, 1::2],
    "reversed": GRID[::-1, :, ::-1],
    "broadcast": np.broadcast_to(GRID[0, 0], (5, 4)),
    "one axis added": GRID.T[:, None],
    "empty": np.empty((0, 3), np.int64),
    "empty transposed": np.empty((4, 0), np.float64).T,
    "scalar": np.array(2.5),
    "big-endian": GRID.astype(">f4"),
    "big-endian transposed": GRID.astype(">i8").T,
    "bool": (GRID > 5).T,
    "float16": GRID.astype(np.float16).T,
    "bfloat16": GRID.astype(ml_dtypes.bfloat16).T,
    "complex64": (GRID * np.complex64(1j)).T,
    "uint16": GRID.astype(np.uint16).T,
    "int8": GRID.astype(np.int8)[::-1],
}


def check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Both readers give what was saved, in native byte order."""
    save_arrays(path, arrays)
    for read in (load_arrays, map_arrays):
        found = read(path)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype.newbyteorder("="), name
            assert found[name].shape == array.shape, name
            np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_every_layout_comes_back(tmp_path: Path) -> None:
    check(tmp_path / "a.safetensors", LAYOUTS)


@given(st.data())
def test_any_view_of_any_array_comes_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kinds = st.sampled_from(["<f4", ">f8", "<i4", ">u2", "u1", "?", "<f2"])
    array = data.draw(
        kinds.flatmap(lambda kind: nps.arrays(kind, nps.array_shapes(min_dims=0, min_side=0, max_side=4)))
    )
    array = np.nan_to_num(array) if array.dtype.kind == "f" else array
    view = array.transpose(data.draw(st.permutations(range(array.ndim))))
    view = view[data.draw(nps.basic_indices(view.shape, allow_newaxis=True))] if view.ndim else view
    check(tmp_path_factory.getbasetemp() / "any.safetensors", {"array": np.asarray(view)})


def test_equal_arrays_give_equal_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    save_arrays(tmp_path / "one", {"a": GRID.T, "b": GRID})
    save_arrays(tmp_path / "two", {"b": np.asfortranarray(GRID), "a": GRID.T.copy()})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}], object),
        np.array(["a"]),
        np.array(["2026-01-01"], "M8[us]"),
        np.zeros(2, [("a", "i4")]),
        np.zeros(2, np.longdouble),
        np.zeros(2, np.complex128),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path: Path, array: np.ndarray) -> None:
    save_arrays(tmp_path / "a", {"kept": GRID})
    with pytest.raises(DataError, match=r"a: array 'wrong' has type .*: give numbers"):
        save_arrays(tmp_path / "a", {"fine": GRID, "wrong": array})
    assert list(load_arrays(tmp_path / "a")) == ["kept"]


def test_the_name_of_the_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keeps for itself"):
        save_arrays(tmp_path / "a", {"__metadata__": GRID})


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_arrays(tmp_path / "a", {"old": GRID})

    def half(_arrays: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("recsys_pipeline.core.files.save_file", half)
    with pytest.raises(OSError, match="no space left"):
        save_arrays(tmp_path / "a", {"new": GRID})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert list(load_arrays(tmp_path / "a")) == ["old"]


@pytest.mark.parametrize("read", [load_arrays, map_arrays])
@pytest.mark.parametrize("content", [None, b"", b"half", b"\x02" + bytes(7) + b"[]", bytes(40)])
def test_broken_files_are_named(tmp_path: Path, read: Callable[[Path], object], content: bytes | None) -> None:
    path = tmp_path / "broken.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"broken\.safetensors holds no readable arrays"):
        read(path)


def test_nobody_else_writes_or_reads_array_files() -> None:
    """A writer of its own would scramble views again, or leave half a file."""
    package = Path(recsys_pipeline.__file__).parent
    pattern = re.compile(r"^\s*(from|import) safetensors|np\.(save|savez|savez_compressed)\(", re.MULTILINE)
    users = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if pattern.search(path.read_text())}
    assert users == {"core/files.py"}
