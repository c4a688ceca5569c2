"""A fixed piece of work that says how fast the machine is just now, for what is timed beside it."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

N_ITEMS, DIM, N_KEPT = 4_000, 64, 1_000
"""As in making a list: scores of some thousand items, their order, and Python over those that are kept."""
REFERENCE_MS = 0.55
"""What the work takes on one idle core of the reference machine, a 2-core cloud machine of 2026 (NumPy 2.4, best of
600). A constant, so that limits in milliseconds mean the same on every machine."""


def calibration_work() -> int:
    """Score, order and walk, the same every time; the number that comes out only keeps it from being left out."""
    vectors = _vectors()
    scores = np.einsum("nd,d->n", vectors, vectors[0])
    kept = {int(row): float(scores[row]) for row in np.argsort(-scores, kind="stable")[:N_KEPT]}
    return len(sorted(kept.items(), key=lambda pair: pair[1]))


@lru_cache(maxsize=1)
def _vectors() -> Float32[np.ndarray, "items dim"]:
    return np.random.default_rng(0).standard_normal((N_ITEMS, DIM), dtype=np.float32)
