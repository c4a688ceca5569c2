"""Fits must end on machines with few cores (docs/decisions/xla_threads.md)."""

import os
import subprocess
import sys

FITS = 10
SCRIPT = f"""
import numpy as np
from recsys_pipeline.core.models.als import AlsConfig, fit
from recsys_pipeline.core.ratings import Ratings

rng = np.random.default_rng(0)
user, item = (rng.integers(0, size, 4000).astype(np.int32) for size in (300, 200))
ratings = Ratings(user, item, np.ones(4000, np.float32), np.arange(4000, dtype=np.int64), 300, 200)
for seed in range({FITS}):
    fit(ratings, AlsConfig(embedding_size=31, epochs=6), seed)
    print("fitted", flush=True)
"""


def test_repeated_fits_end() -> None:
    """Before the package set NPROC, about one fit in twenty waited for ever on a machine with two cores."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NPROC", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.count("fitted") == FITS, done.stderr[-2000:]
