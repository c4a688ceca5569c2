"""What an artifact was made with: a digest of the code that could have shaped it, and library versions."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

STAGES = ("dataset", "folds", "learning", "models", "neighbors", "reports", "serving", "speed")
REACHES = {"learning": "reports"}
"""Sweeps fit models and judge them, so their assets use the core beyond their own stage."""
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "duckdb", "pyarrow", "faiss-cpu", "pillow")
PACKAGE = Path(__file__).parents[1]


@cache
def code_version(stage: str) -> str:
    """Digest of the sources of this stage and of all stages that it may import.

    The layers of the core (checked by import-linter) flow one way, so nothing else can change what a stage
    computes; a change in a report never makes a model stale.
    """
    stages = STAGES[: STAGES.index(REACHES.get(stage, stage)) + 1]
    folders = [PACKAGE / "core" / name for name in stages]
    folders += [PACKAGE / "adapters" / "sources", PACKAGE / "defs" / stage]
    files = [PACKAGE / "core" / "types.py", *(PACKAGE / "defs").glob(f"{stage}.py")]
    files += [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".j2"}]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide figures."""
    return {name: version(name) for name in LIBRARIES}
