"""The code version of a stage changes with what may shape the stage, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store import versions
from recsys_pipeline.adapters.store.versions import LIBRARIES, STAGES, code_version, library_versions


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that a test may change."""
    copy = tmp_path / "package"
    shutil.copytree(versions.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "defs" / "serving.py").touch()
    (copy / "defs" / "speed.py").touch()
    monkeypatch.setattr(versions, "PACKAGE", copy)
    return copy


def all_versions() -> dict[str, str]:
    code_version.cache_clear()
    found = {stage: code_version(stage) for stage in STAGES}
    code_version.cache_clear()
    return found


@pytest.mark.parametrize(
    ("file", "first_changed"),
    [
        ("core/types.py", "dataset"),
        ("core/dataset/schema.py", "dataset"),
        ("adapters/sources/files.py", "dataset"),
        ("core/folds/prequential.py", "folds"),
        ("core/learning/factorization/als.py", "learning"),
        ("core/models/popularity.py", "models"),
        ("core/neighbors/index.py", "neighbors"),
        ("core/reports/accuracy/metrics.py", "reports"),
        ("core/reports/page/page.html.j2", "reports"),
    ],
)
def test_a_change_reaches_its_stage_and_those_after_it(package: Path, file: str, first_changed: str) -> None:
    before = all_versions()
    path = package / file
    assert path.is_file()
    with path.open("a") as stream:
        stream.write("# changed\n")
    after = all_versions()
    changed = [stage for stage in STAGES if after[stage] != before[stage]]
    expected = set(STAGES[STAGES.index(first_changed) :])
    assert set(changed) == expected | ({"learning"} if "reports" in expected else set()), "sweeps also judge models"


@pytest.mark.parametrize("module", [*STAGES[:5], "reports/ranking"])
def test_a_change_of_an_asset_reaches_its_stage_alone(package: Path, module: str) -> None:
    before = all_versions()
    with (package / "defs" / f"{module}.py").open("a") as stream:
        stream.write("# changed\n")
    after = all_versions()
    assert [name for name in STAGES if after[name] != before[name]] == [module.split("/")[0]]


MODEL_FILES = ("als", "popularity", "stl")


def of_models() -> dict[str, str]:
    code_version.cache_clear()
    found = {name: code_version(f"models/{name}") for name in MODEL_FILES}
    code_version.cache_clear()
    return found


def test_another_model_file_makes_no_model_stale(package: Path) -> None:
    before = of_models()
    shutil.copy(package / "core" / "models" / "popularity.py", package / "core" / "models" / "another.py")
    (package / "core" / "learning" / "losses_of_another.py").write_text("NOTHING = 0\n")
    assert of_models() == before


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("core/models/als.py", {"als"}),
        ("core/learning/factorization/kernels.py", {"als"}),
        ("core/learning/looks/towers/style.py", {"stl"}),
        ("core/models/__init__.py", {*MODEL_FILES}),
        ("core/types.py", {*MODEL_FILES}),
        ("defs/models.py", {*MODEL_FILES}),
        ("core/reports/accuracy/metrics.py", set()),
    ],
)
def test_a_change_reaches_the_models_that_import_it(package: Path, file: str, stale: set[str]) -> None:
    before = of_models()
    with (package / file).open("a") as stream:
        stream.write("# changed\n")
    after = of_models()
    assert {name for name in MODEL_FILES if after[name] != before[name]} == stale


def test_a_renamed_file_counts(package: Path) -> None:
    before = all_versions()
    (package / "core" / "models" / "popularity.py").rename(package / "core" / "models" / "popular.py")
    assert all_versions()["models"] != before["models"]


def test_compiled_files_do_not_count(package: Path) -> None:
    before = all_versions()
    (package / "core" / "models" / "__pycache__").mkdir(exist_ok=True)
    (package / "core" / "models" / "__pycache__" / "als.cpython-311.pyc").write_bytes(b"x")
    assert all_versions() == before


def test_library_versions_are_those_installed() -> None:
    import jax
    import numpy as np

    found = library_versions()
    assert set(found) == set(LIBRARIES)
    assert (found["jax"], found["numpy"]) == (jax.__version__, np.__version__)
