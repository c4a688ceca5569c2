"""What an artifact was made with: a digest of the code that could have shaped it, and library versions."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

STAGES = ("dataset", "folds", "learning", "models", "neighbors", "reports", "serving", "speed")
REACHES = {"learning": "reports"}
"""Sweeps fit models and judge them, so their assets use the core beyond their own stage."""
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "duckdb", "pyarrow", "faiss-cpu", "pillow")
PACKAGE = Path(__file__).parents[2]
PACKAGE_NAME = PACKAGE.name


@cache
def code_version(key: str) -> str:
    """Digest of the sources that may shape an artifact, by its key, or by a stage.

    Of a model's asset: its file with all that this imports inside the package, and the asset itself. Of other assets:
    their stage and all stages that it may import. The layers of the core (checked by import-linter) flow one way, so
    nothing else can change what a stage computes; a change in a report never makes a model stale, nor does another
    model's file.
    """
    stage, _, subject = key.partition("/")
    module = PACKAGE / "core" / "models" / f"{subject}.py"
    files = _of_model(module) if stage == "models" and module.is_file() else _of_stage(stage)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _of_stage(stage: str) -> set[Path]:
    stages = STAGES[: STAGES.index(REACHES.get(stage, stage)) + 1]
    folders = [PACKAGE / "core" / name for name in stages]
    folders += [PACKAGE / "adapters" / "sources", PACKAGE / "defs" / stage]
    files = [PACKAGE / "core" / "types.py", *(PACKAGE / "defs").glob(f"{stage}.py")]
    return {*files, *(path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".j2"})}


def _of_model(module: Path) -> set[Path]:
    return {*imported(module), PACKAGE / "defs" / "models.py"}


def imported(module: Path) -> set[Path]:
    """A module and all that it imports inside the package, directly or not, inside functions too.

    A package that looks for its modules by itself (the towers) counts whole; that of the models does not, since model
    files never import one another.
    """
    found, waiting = set[Path](), [module]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += _imports(path)
    return found


def _imports(path: Path) -> Iterator[Path]:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py" and "iter_modules" in text and path.parent != PACKAGE / "core" / "models":
        yield from path.parent.rglob("*.py")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        else:
            continue
        for name in names:
            yield from _files_of(name)


def _files_of(name: str) -> Iterator[Path]:
    """The files that importing a module of this package runs: its own, and those of the packages around it."""
    package, *parts = name.split(".")
    if package != PACKAGE_NAME:
        return
    folder = PACKAGE
    for part in parts:
        yield from [path for path in (folder / f"{part}.py", folder / part / "__init__.py") if path.is_file()]
        folder = folder / part


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide figures."""
    return {name: version(name) for name in LIBRARIES}
