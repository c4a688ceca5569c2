"""Compiled kernels over ranges of rows in one pool of threads; results do not depend on how many there are.

A kernel must release the interpreter lock (numba's `nogil`), write only what its range owns, and return what is summed
afterwards in the order of the ranges.
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Int64

CPU_THREADS = os.cpu_count() or 1
RANGES = 32
"""At most. Their number follows from the data alone, so that sums over ranges are added in the same order whatever the
number of threads."""
LEAST_WORK, LEAST_ROWS = 1 << 14, 1 << 10
"""Ratings and rows below which another range costs more than it spreads: handing one over takes some 50 µs."""


def run_over_ranges(kernel: Callable[..., Any], edges: Int64[np.ndarray, " ranges_and_end"], *arguments: Any) -> list:
    """`kernel(first, last, *arguments)` of each pair of neighbouring edges; what they returned, in order.

    >>> import numpy as np
    >>> run_over_ranges(lambda first, last, step: first * step, np.array([0, 2, 5]), 10)
    [0, 20]
    """
    tasks = [
        _threads(CPU_THREADS).submit(kernel, a, b, *arguments) for a, b in itertools.pairwise(edges.tolist()) if a < b
    ]
    return [task.result() for task in tasks]


def even_ranges(n_rows: int) -> Int64[np.ndarray, " ranges_and_end"]:
    """Edges of ranges with as many rows each."""
    return np.linspace(0, n_rows, min(RANGES, 1 + n_rows // LEAST_ROWS) + 1).astype(np.int64)


def ranges_of_equal_work(start: Int64[np.ndarray, " rows_and_end"]) -> Int64[np.ndarray, " ranges_and_end"]:
    """Edges between rows so that each range has about as many ratings; `start` as in compressed sparse rows."""
    work = start + 8 * np.arange(len(start))  # a row costs something even where it is empty
    n_ranges = min(RANGES, 1 + int(work[-1]) // LEAST_WORK)
    return np.searchsorted(work, np.linspace(0, work[-1], n_ranges + 1)).astype(np.int64)


@cache
def _threads(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="rows")
