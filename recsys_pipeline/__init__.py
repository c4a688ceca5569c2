"""A recommender pipeline: a Dagster code location over a pure core in JAX."""

import os

# XLA's CPU client (jaxlib 0.10.2) loses a wake-up when its thread pool has exactly two threads: a jitted
# Cholesky sweep then waits for ever, about one fit in twenty on a two-core machine, and never with three or more
# (docs/decisions/xla_threads.md). XLA reads NPROC for the size of its pool, once, when the first array is made.
if (os.cpu_count() or 1) < 4:
    os.environ.setdefault("NPROC", "4")
