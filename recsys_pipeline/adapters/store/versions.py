"""What an artifact was made with: a digest of the code that could have shaped it, and what else decides figures."""

import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

from recsys_pipeline.adapters.store.code_graph import Code, CodeGraph, Node

STAGES = ("dataset", "folds", "learning", "models", "neighbors", "reports", "serving", "speed")
PACKAGE = Path(__file__).parents[2]
MODELS = f"{PACKAGE.name}.core.models"
"""The package of which an asset that is handed its model reaches that one alone."""
DISTRIBUTIONS = {
    "jax": ("jax", "jaxlib"),
    "flax": ("flax",),
    "optax": ("optax",),
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "duckdb": ("duckdb",),
    "pyarrow": ("pyarrow",),
    "pandas": ("pandas",),
    "numba": ("numba", "llvmlite"),
    "faiss": ("faiss-cpu",),
    "PIL": ("pillow",),
    "optuna": ("optuna",),
    "sklearn": ("scikit-learn",),
    "safetensors": ("safetensors",),
    "matplotlib": ("matplotlib",),
}
"""Of each library that decides figures, by the module that code imports: what is installed."""
JAX_FLAGS = (
    "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DEFAULT_PRNG_IMPL", "JAX_THREEFRY_PARTITIONABLE",
    "JAX_NUMPY_DTYPE_PROMOTION", "JAX_PLATFORMS", "XLA_FLAGS",
)  # fmt: skip
"""Variables of the environment with which the same program computes other figures."""


@cache
def graph() -> CodeGraph:
    """The graph of this package; indexes of its modules are kept beside what Python compiles."""
    return CodeGraph(PACKAGE, PACKAGE / "__pycache__" / "module_index.json")


def node_of(function: object) -> Node:
    """Where a function or class is defined; raises `TypeError` for a lambda or a function inside another one.

    Such a one is code of whatever is around it, which would count as well.
    """
    name = getattr(function, "__qualname__", "")
    if not isinstance(function, FunctionType | type) or not name.isidentifier():
        raise TypeError(f"{function!r} is not defined at the top of a module: its code cannot be followed")
    return function.__module__, name


def code_of(roots: Iterable[Node], one_model: bool = False) -> Code:
    """The code that the roots reach; with `one_model` only the model files that they name."""
    return graph().code(roots, frozenset({MODELS}) if one_model else frozenset())


def library_versions(code: Code) -> dict[str, str]:
    """Versions of the libraries that this code uses and that decide figures, and of Python; JAX with its flags."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for module in sorted(DISTRIBUTIONS.keys() & code.libraries):
        found |= {name: version(name) for name in DISTRIBUTIONS[module]}
    if "jax" in code.libraries:
        found |= {name: os.environ[name] for name in JAX_FLAGS if os.environ.get(name)}
    return found
