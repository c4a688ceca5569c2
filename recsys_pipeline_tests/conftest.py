"""Fixtures and profiles for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from recsys_pipeline_tests.postgres import postgres
from recsys_pipeline_tests.wandb_double.fixtures import wandb_double

__all__ = ["postgres", "wandb_double"]

settings.register_profile("project", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("project")

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # tests import wandb before the tracker can switch this off
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile hundreds of programs that each run for milliseconds: without LLVM's passes one training step compiles in
# 8 s of processor time, not 17. What XLA itself rewrites and fuses stays; XLA_FLAGS= gives the code that users run.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# What one worker, child or run has compiled is there for the others, and for the next run.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Definitions are built once per process, from settings: tests must not see the developer's own .env and settings file.
os.environ.update(RECSYS_SOURCE="simulator", RECSYS_SIZE="tiny", RECSYS_START_DATE="2026-01-01", RECSYS_HOURLY_DAYS="0")
os.environ["RECSYS_SETTINGS_FILE"] = os.devnull


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data; tests that need it skip, saying so, where it is absent."""
    folder = os.environ.get("RECSYS_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data is absent: set RECSYS_TEST_DATA to its folder")
    return Path(folder)


SLOW_FIRST = ("browser", "e2e", "evaluate", "adapters")
"""Folders whose files take longest, so that no worker begins one of them when the others have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files that take long come first; within a file and among the others the order stays."""
    here = Path(__file__).parent
    place = {folder: number for number, folder in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(here).parts[0], len(SLOW_FIRST)))
